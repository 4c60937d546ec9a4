//! The worker's two halves, turned on by hand: what the part `setup` does for `runtime = "host"`.

use stayput_harness::{Probe, Result};

/// Starts the mover's socket, and the mover with the first order.
pub fn start_mover(probe: &mut Probe) -> Result<()> {
    // An empty one: everything is as usual. Without the file its units are off.
    probe.create("/run/stayput/worker.env", b"")?;
    probe.output(&["systemctl", "start", "stayput-mover.socket"]).map(drop)
}

/// What a unit of the worker has said, for a test that failed.
pub fn journal(probe: &mut Probe, unit: &str) -> String {
    let arguments = ["journalctl", "--no-pager", "--lines=20", "--output=cat", "--unit", unit];
    probe.output(&arguments).unwrap_or_else(|error| error.to_string())
}

/// Starts the courier with a queue in a region that does not answer.
pub fn start_courier(probe: &mut Probe) -> Result<()> {
    let settings = "SQS_QUEUE_URL=http://10.0.2.2:9/000000000000/orders\nAWS_REGION=eu-central-1\n\
        AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n";
    probe.create("/run/stayput/courier.env", settings.as_bytes())?;
    probe.output(&["systemctl", "start", "stayput-courier.service"]).map(drop)
}
