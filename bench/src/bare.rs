//! The reference that stores nothing: a bare hyper server that verifies the same RSA2 signature over the same
//! canonical string and answers. What a server that only proves could reach on this machine.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Largest body, as in the gateway's default.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Serves until it is killed.
pub(crate) async fn serve(address: SocketAddr, public_key: Option<&Path>) -> anyhow::Result<()> {
    let pem = std::fs::read_to_string(public_key.context("the bare reference needs a public key")?);
    let text: String = pem.context("read the key")?.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = from_base64(text.as_bytes()).context("decode the key")?;
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).map_err(|_| anyhow::anyhow!("no public key"))?;
    let key = Arc::new(key);
    let listener = TcpListener::bind(address).await.context("listen")?;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        let key = key.clone();
        tokio::spawn(async move {
            drop(stream.set_nodelay(true));
            let service = service_fn(move |request| answer(request, key.clone()));
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "the body is limited")]
async fn answer(request: Request<Incoming>, key: Arc<ParsedPublicKey>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_genuine = match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
        Ok(body) => verify(&body.to_bytes(), &key),
        Err(_) => false,
    };
    Ok(Response::new(Full::new(Bytes::from_static(if is_genuine { b"success" } else { b"fail" }))))
}

/// Alipay's canonical string over a form: the pairs without `sign` and `sign_type`, decoded, sorted, joined.
fn verify(body: &[u8], key: &ParsedPublicKey) -> bool {
    let mut pairs: Vec<(&[u8], Vec<u8>)> = Vec::with_capacity(32);
    let mut signature = Vec::new();
    for pair in body.split(|byte| *byte == b'&') {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let value = decode(pair.get(at + 1..).unwrap_or_default());
        match &pair[..at] {
            b"sign" => signature = value,
            b"sign_type" => {}
            _ if value.is_empty() => {}
            name => pairs.push((name, value)),
        }
    }
    pairs.sort_unstable();
    let mut message = Vec::with_capacity(body.len());
    for (name, value) in &pairs {
        if !message.is_empty() {
            message.push(b'&');
        }
        message.extend_from_slice(name);
        message.push(b'=');
        message.extend_from_slice(value);
    }
    let Some(signature) = from_base64(&signature) else { return false };
    key.verify_sig(&message, &signature).is_ok()
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
                u8::try_from(digit() * 16 + digit()).unwrap_or(0)
            }
            other => other,
        });
    }
    decoded
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
