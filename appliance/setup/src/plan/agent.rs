//! The variables of the cluster's agent, where the cluster starts the worker: what its own installer would put into its
//! `ecs.config`, as far as it follows from settings. What is the same on every box belongs to the agent's unit.

use stayput_config::{Endpoint, Runtime};

use super::AUTHORITIES;
use super::variables::Variables;
use crate::intake::Settings;

/// What the agent reaches on the box itself: the region's machine data, which this box has not, its own door for tasks, the engine.
const OWN: [&str; 3] = ["169.254.169.254", "169.254.170.2", "/var/run/docker.sock"];

/// `None` where the box itself starts the worker: then no agent has anything to do here.
pub(super) fn environment(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let cluster = config.ecs.cluster.as_ref().filter(|_| config.worker.runtime == Runtime::Ecs)?;
    let mut variables = Variables::default();
    variables.set("ECS_CLUSTER", cluster.as_str());
    variables.set("AWS_DEFAULT_REGION", config.activation.region.as_str());
    // No machine of the region's: nobody is asked for machine data, and the box is registered as what it is.
    variables.set("ECS_EXTERNAL", "true");
    if !config.ecs.attributes.is_empty() {
        let pairs = config.ecs.attributes.iter();
        let pairs: serde_json::Map<_, _> =
            pairs.map(|(name, value)| (name.to_string(), value.to_string().into())).collect();
        variables.set("ECS_INSTANCE_ATTRIBUTES", &serde_json::Value::from(pairs).to_string());
    }
    if let Some(endpoint) = config.endpoints.ecs.as_ref().map(Endpoint::to_string) {
        variables.set("ECS_BACKEND_HOST", &endpoint);
    }
    // Not AWS_CA_BUNDLE, with which the agent ends at its start.
    if !settings.copy.authorities.is_empty() {
        variables.set("SSL_CERT_FILE", AUTHORITIES);
    }
    variables.set_proxy(&config.network, &OWN);
    Some(variables.text())
}
