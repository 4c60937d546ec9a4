//! What keeps the courier from starting, with the remedy. What goes wrong later is a state, not an error.

/// A reason not to start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No queue is named.
    #[error("SQS_QUEUE_URL is not set; set it to the queue's URL")]
    NoQueue,
    /// The queue's URL is none.
    #[error(
        "SQS_QUEUE_URL is '{0}', which is no queue's URL; copy it from the queue's page, it begins with https://"
    )]
    QueueUrl(String),
    /// An ordered queue.
    #[error(
        "'{0}' is a FIFO queue; orders are carried out as their files come, not in their order, so use a standard queue"
    )]
    Fifo(String),
    /// No region is named.
    #[error("AWS_REGION is not set, and the queue's URL does not tell the region; set it")]
    NoRegion,
    /// An endpoint that is none.
    #[error("AWS_ENDPOINT_URL is '{0}', which does not begin with https://; correct or remove it")]
    Endpoint(String),
    /// A list of buckets that is none.
    #[error(
        "STAYPUT_BUCKETS is no list of buckets; write each as bucket or bucket/how-keys-begin, with spaces between, and without s3://"
    )]
    Buckets,
    /// No credentials.
    #[error(transparent)]
    Credentials(#[from] crate::credentials::Error),
    /// The further authorities could not be read.
    #[error("could not read AWS_CA_BUNDLE '{}': {source}; correct or remove it", path.display())]
    Authorities {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The runtime could not be made.
    #[error("could not {action}: {source}; the process has too few descriptors or too little memory")]
    Runtime {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}
