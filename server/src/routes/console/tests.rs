//! The console's files in their forms, with files that stand for what Vite makes.

use poem::http::Method;
use poem::{Request, handler};

use super::*;

#[derive(Clone, Copy, RustEmbed)]
#[folder = "tests/console"]
struct Built;

#[derive(Clone, Copy, RustEmbed)]
#[folder = "tests/no-console"]
#[allow_missing = true]
struct Missing;

/// Stands for the API.
#[handler]
fn api() -> &'static str {
    "of the API"
}

async fn send<F: RustEmbed + Send + Sync>(method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let console = Console { api: api.into_endpoint(), files: PhantomData::<F> };
    let mut request = Request::builder().method(method).uri_str(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    console.get_response(request.finish()).await
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    send::<Built>(Method::GET, path, headers).await
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.header(name).unwrap_or_default()
}

async fn text(response: Response) -> String {
    response.into_body().into_string().await.unwrap()
}

#[tokio::test]
async fn the_smallest_form_that_the_client_takes_is_sent() {
    for (accepted, encoding, body) in [
        ("gzip, deflate, br, zstd", "br", "page in Brotli\n"),
        ("gzip, deflate", "gzip", "page in gzip\n"),
        ("br;q=0, GZIP;q=0.5", "gzip", "page in gzip\n"),
        ("identity", "", "<!doctype html><title>plain</title>\n"),
        ("br;q=x", "", "<!doctype html><title>plain</title>\n"),
    ] {
        let response = get("/", &[("accept-encoding", accepted)]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-encoding"), encoding, "{accepted}");
        assert_eq!(header(&response, "vary"), "Accept-Encoding");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        assert_eq!(text(response).await, body, "{accepted}");
    }
    let script = get("/assets/app-1.js", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(header(&script, "content-encoding"), "gzip", "there is no .br of it");
}

#[tokio::test]
async fn every_address_of_the_console_is_the_page() {
    for path in
        ["/", "/agents", "/agents/", "/agents/7/x.js", "/settings/users?page=2", "/login?next=%2F", "/add"]
    {
        let response = get(path, &[]).await;
        assert_eq!(header(&response, "cache-control"), "no-cache", "{path}");
        assert_eq!(header(&response, "content-security-policy"), CONTENT_SECURITY_POLICY, "{path}");
        assert_eq!(text(response).await, "<!doctype html><title>plain</title>\n", "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_never_the_page() {
    for path in ["/assets/app-2.js", "/assets/", "/assets/../index.html", "/assets/%2e%2e/index.html"] {
        assert_eq!(get(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn everything_else_is_the_api_s() {
    for path in [
        "/api",
        "/api/agents",
        "/docs",
        "/assets",
        "/index.html",
        "/agentsx",
        "/favicon.ico",
        "/.vite/manifest.json",
    ] {
        assert_eq!(text(get(path, &[]).await).await, "of the API", "{path}");
    }
    let posted = send::<Built>(Method::POST, "/agents", &[]).await;
    assert_eq!(text(posted).await, "of the API");
    let head = send::<Built>(Method::HEAD, "/agents", &[]).await;
    assert_eq!(header(&head, "content-type"), "text/html; charset=utf-8");
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let first = get("/", &[("accept-encoding", "br")]).await;
    let etag = header(&first, "etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() == 66, "{etag}");
    for known in [etag.clone(), format!("\"other\", W/{etag}")] {
        let again = get("/", &[("accept-encoding", "br"), ("if-none-match", &known)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(header(&again, "etag"), etag);
        assert_eq!(header(&again, "content-security-policy"), CONTENT_SECURITY_POLICY);
        assert_eq!(text(again).await, "");
    }
    let other_form = get("/", &[("accept-encoding", "gzip"), ("if-none-match", &etag)]).await;
    assert_eq!(other_form.status(), StatusCode::OK, "another form is another entity");
}

#[tokio::test]
async fn names_with_a_hash_are_kept_for_good() {
    let script = get("/assets/app-1.js", &[]).await;
    assert_eq!(header(&script, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&script, "content-type"), "text/javascript; charset=utf-8");
    let icon = get("/favicon.svg", &[]).await;
    assert_eq!(header(&icon, "cache-control"), "public, max-age=86400");
    assert_eq!(header(&icon, "content-type"), "image/svg+xml");
}

#[tokio::test]
async fn a_server_without_its_console_says_so() {
    let response = send::<Missing>(Method::GET, "/agents/1", &[("accept-encoding", "br")]).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(header(&response, "content-security-policy"), CONTENT_SECURITY_POLICY);
    assert!(text(response).await.contains("built without its console"));
    assert_eq!(send::<Missing>(Method::GET, "/assets/app-1.js", &[]).await.status(), StatusCode::NOT_FOUND);
}
