//! The HTTP client: rustls with ring, the system's proxy variables, and one large answer in memory at a time.

use std::path::Path;
use std::sync::Arc;

use aws_sdk_sqs::config::SharedAsyncSleep;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::Semaphore;

use super::Error;

/// Answers up to this length are read as they come.
const SMALL: u64 = 512 * 1024;

/// A client for all calls. `authorities` are trusted beside the system's.
pub fn client(authorities: Option<&Path>) -> Result<SharedHttpClient, Error> {
    let tls = trust(authorities)?;
    let inner = Builder::new().build_with_connector_fn(move |settings, components| {
        connect(tls.clone(), settings.cloned(), components.and_then(RuntimeComponents::sleep_impl))
    });
    let large = Arc::new(Semaphore::new(1));
    Ok(SharedHttpClient::new(Bounded { inner, large }))
}

/// A connector for calls that are made without the SDK.
pub fn connector(authorities: Option<&Path>) -> Result<Connector, Error> {
    Ok(connect(trust(authorities)?, None, None))
}

fn connect(
    tls: TlsContext,
    settings: Option<HttpConnectorSettings>,
    sleep: Option<SharedAsyncSleep>,
) -> Connector {
    let mut builder = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls);
    builder.set_connector_settings(settings);
    builder.set_sleep_impl(sleep);
    builder.build()
}

/// The system's authorities, and those of the file.
fn trust(authorities: Option<&Path>) -> Result<TlsContext, Error> {
    let mut trusted = TrustStore::default();
    if let Some(path) = authorities {
        let read = std::fs::read(path);
        trusted = trusted.with_pem_certificate(
            read.map_err(|source| Error::Authorities { path: path.to_owned(), source })?,
        );
    }
    let tls = TlsContext::builder().with_trust_store(trusted).build();
    tls.map_err(|error| Error::Authorities {
        path: authorities.unwrap_or(Path::new("")).to_owned(),
        source: std::io::Error::other(error),
    })
}

/// Lets one large answer in at a time: bodies of messages are as large as their senders like, and the SDK holds an answer whole
/// (twice while it is read). The others wait in the kernel, where the window is small.
#[derive(Debug)]
struct Bounded {
    inner: SharedHttpClient,
    large: Arc<Semaphore>,
}

impl HttpClient for Bounded {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(BoundedConnector { inner, large: self.large.clone() })
    }
}

#[derive(Debug)]
struct BoundedConnector {
    inner: SharedHttpConnector,
    large: Arc<Semaphore>,
}

impl HttpConnector for BoundedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (call, large) = (self.inner.call(request), self.large.clone());
        HttpConnectorFuture::new(async move {
            let mut response = call.await?;
            let length = response.headers().get("content-length");
            let length = length.and_then(|length| length.parse::<u64>().ok());
            if length.is_none_or(|length| length > SMALL)
                && let Ok(permit) = large.acquire_owned().await
            {
                // Held until the answer is dropped, which is after it was read.
                response.add_extension(Permit(Arc::new(permit)));
            }
            Ok(response)
        })
    }
}

/// Extensions must be cloneable.
#[derive(Debug, Clone)]
struct Permit(
    #[expect(dead_code, reason = "its drop is what matters")] Arc<tokio::sync::OwnedSemaphorePermit>,
);
