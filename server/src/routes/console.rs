//! The web console: one page for all its paths, and the files that the page loads.
//!
//! `server/web` is built before the server, which embeds the files (a debug build reads them at runtime). Each text
//! file exists in three forms, plain, `.br` and `.gz`, so that nothing is compressed while serving.

use std::borrow::Cow;
use std::marker::PhantomData;

use bytes::Bytes;
use poem::error::NotFoundError;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoEndpoint, IntoResponse as _, Request, Response, Result};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::{accepts, list};

/// First segments of the page's paths, besides `/` itself. The page handles all paths below them.
const SEGMENTS: [&str; 7] = ["account", "add", "agents", "alerts", "compare", "login", "settings"];

/// Scripts and styles come only from the server's files; only Svelte's templates turn text into scripts or markup.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types svelte-trusted-html";

/// The names of these files change with their content.
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";
const CACHE_FOR_A_DAY: &str = "public, max-age=86400";
/// Cached and revalidated each time: 304 while unchanged.
const REVALIDATE: &str = "no-cache";

/// Served if the files are missing.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Pika</title>\
     <h1>This server was built without its console</h1>\
     <p>Run <code>npm ci &amp;&amp; npm run build</code> in <code>server/web</code> and build the server again, \
     or use the <a href=\"/docs\">API</a>.</p></html>\n";

/// Encodings of files, the smallest first, with their file suffixes.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The output of `npm run build` in `server/web`.
#[derive(Clone, Copy, RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
pub(super) struct Dist;

/// Serves the console's paths, and everything else by `api`.
pub(super) fn beside<A: IntoEndpoint>(api: A) -> Console<A::Endpoint, Dist> {
    Console { api: api.into_endpoint(), files: PhantomData }
}

/// The console's files, and the API for other paths.
pub(super) struct Console<A, F> {
    api: A,
    files: PhantomData<F>,
}

impl<A: Endpoint, F: RustEmbed + Send + Sync> Endpoint for Console<A, F> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        match request.uri().path() {
            path if is_read && is_page(path) => Ok(page::<F>(request.headers())),
            path if is_read && path.starts_with("/assets/") => {
                file::<F>(path, request.headers(), CACHE_FOREVER)
            }
            path @ "/favicon.svg" if is_read => file::<F>(path, request.headers(), CACHE_FOR_A_DAY),
            _ => Ok(self.api.call(request).await?.into_response()),
        }
    }
}

fn is_page(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    path == "/" || SEGMENTS.contains(&first)
}

/// Returns the page, which itself chooses the view for the path.
fn page<F: RustEmbed>(headers: &HeaderMap) -> Response {
    let mut response = match Variant::find::<F>("index.html", headers) {
        Some(page) => page.respond(headers, REVALIDATE),
        None => Response::builder()
            .status(StatusCode::NOT_FOUND)
            .content_type("text/html; charset=utf-8")
            .header(header::CACHE_CONTROL, REVALIDATE)
            .body(NOT_BUILT),
    };
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Returns a file that the page loads. A missing one is 404, never the page, which a tab older than the server would
/// mistake for a broken script.
fn file<F: RustEmbed>(path: &str, headers: &HeaderMap, cache_control: &str) -> Result<Response> {
    let variant = Variant::find::<F>(path.trim_start_matches('/'), headers).ok_or(NotFoundError)?;
    Ok(variant.respond(headers, cache_control))
}

/// A file in one of its forms.
struct Variant {
    file: EmbeddedFile,
    content_type: String,
    encoding: Option<&'static str>,
}

impl Variant {
    /// Finds the smallest form of a file that the client accepts.
    fn find<F: RustEmbed>(path: &str, headers: &HeaderMap) -> Option<Self> {
        // A debug build would look outside the folder.
        if path.split('/').any(|segment| segment == "..") {
            return None;
        }
        let plain = F::get(path)?;
        let content_type = match plain.metadata.mimetype() {
            text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            other => other.to_owned(),
        };
        let encoded = ENCODINGS.iter().find_map(|(name, suffix)| {
            let file = accepts(headers, name).then(|| F::get(&format!("{path}{suffix}")))??;
            Some((file, *name))
        });
        Some(match encoded {
            Some((file, name)) => Self { file, content_type, encoding: Some(name) },
            None => Self { file: plain, content_type, encoding: None },
        })
    }

    fn respond(self, headers: &HeaderMap, cache_control: &str) -> Response {
        let hash: String =
            self.file.metadata.sha256_hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = format!("\"{hash}\"");
        let builder = Response::builder()
            .header(header::CACHE_CONTROL, cache_control)
            .header(header::VARY, "Accept-Encoding")
            .header(header::ETAG, &etag);
        if has(headers, &etag) {
            return builder.status(StatusCode::NOT_MODIFIED).finish();
        }
        let builder = match self.encoding {
            Some(encoding) => builder.header(header::CONTENT_ENCODING, encoding),
            None => builder,
        };
        let body = match self.file.data {
            Cow::Borrowed(data) => Bytes::from_static(data),
            Cow::Owned(data) => Bytes::from(data),
        };
        builder.content_type(self.content_type).body(body)
    }
}

/// Returns whether the client has exactly this form already.
fn has(headers: &HeaderMap, etag: &str) -> bool {
    list(headers, header::IF_NONE_MATCH).any(|known| known.strip_prefix("W/").unwrap_or(known) == etag)
}

#[cfg(test)]
mod tests;
