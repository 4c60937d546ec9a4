"""What a careful person would write in Python: ten orders per call, deleted together, nothing deleted that was not moved.

Takes the original worker's variables. It has none of the mover's durability: no journal, no sync, no lock.
"""

import os

import boto3

queue = os.environ["SQS_QUEUE_URL"]
source = os.environ["EFS_SOURCE_FOLDER"]
destination = os.environ["EFS_DESTINATION_FOLDER"]
sqs = boto3.client("sqs", region_name=os.environ["AWS_REGION"])

while True:
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)
    done = []
    for message in received.get("Messages", []):
        name = message["Body"]
        target = os.path.join(destination, name + "_has_been_processed")
        try:
            if "/" in name or os.path.exists(target):
                continue
            os.rename(os.path.join(source, name), target)
        except OSError:
            continue
        done.append({"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]})
    if done:
        sqs.delete_message_batch(QueueUrl=queue, Entries=done)
