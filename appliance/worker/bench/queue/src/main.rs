//! A fast queue for benchmarks: winterbaume's SQS behind HTTP. `stayput-bench-queue 127.0.0.1:PORT`; says `ready` once it listens.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use winterbaume_core::{MockRequest, MockService};
use winterbaume_sqs::SqsService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("which address? 127.0.0.1:PORT")?;
    let service = Arc::new(SqsService::new());
    let listener = TcpListener::bind(&address).await?;
    println!("ready");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            let each = service_fn(move |request| answer(service.clone(), request));
            // A client that goes away in the middle is none of the benchmark's business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), each).await;
        });
    }
}

async fn answer(
    service: Arc<SqsService>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (method, headers) = (parts.method.to_string(), parts.headers);
    // The scope in the signature tells the emulator the region, as an SDK's own host would.
    let uri = format!("https://sqs.eu-central-1.amazonaws.com{}", parts.uri);
    let answered = service.handle(MockRequest { method, uri, headers, body }).await;
    let mut response = Response::new(Full::new(answered.body));
    *response.status_mut() = answered.status.try_into().unwrap_or_default();
    *response.headers_mut() = answered.headers;
    Ok(response)
}
