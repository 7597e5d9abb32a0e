//! The page at `/docs` with the API description, from which calls can be made.
//!
//! The page is a single file with inline scripts and styles. Only their hashes are allowed, so that injected scripts
//! would not run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, Response, endpoint};
use sha2::{Digest as _, Sha256};

/// Serves the page.
pub(super) fn page(html: String) -> impl Endpoint<Output = Response> {
    let policy = HeaderValue::from_str(&policy(&html)).ok();
    let html = Bytes::from(html);
    endpoint::make_sync(move |_| {
        let mut response = Response::builder().content_type("text/html; charset=utf-8").body(html.clone());
        if let Some(policy) = &policy {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
        response
    })
}

/// Serves the description itself.
pub(super) fn description(json: String) -> impl Endpoint<Output = Response> {
    let json = Bytes::from(json);
    endpoint::make_sync(move |_| Response::builder().content_type("application/json").body(json.clone()))
}

/// Returns a policy that allows the page's inline scripts and styles, and requests to the server itself. Its `style`
/// attributes cannot run anything.
fn policy(html: &str) -> String {
    let hashes = |element| {
        let hashes = elements(html, element).into_iter().map(|text| {
            let hash = STANDARD.encode(Sha256::digest(text.as_bytes()));
            format!(" 'sha256-{hash}'")
        });
        hashes.collect::<String>()
    };
    format!(
        "default-src 'none'; script-src{}; style-src{}; style-src-attr 'unsafe-inline'; img-src 'self' data:; \
         font-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        hashes("script"),
        hashes("style")
    )
}

/// Returns the contents of all elements of this name, as a browser sees them: up to the first closing tag.
fn elements<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let (opening, closing) = (format!("<{name}"), format!("</{name}"));
    let mut texts = Vec::new();
    let mut rest = html;
    while let Some((_, from_tag)) = rest.split_once(&opening) {
        let Some((_, from_text)) = from_tag.split_once('>') else {
            break;
        };
        let Some((text, after)) = from_text.split_once(&closing) else {
            break;
        };
        texts.push(text);
        rest = after;
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_page_is_allowed_by_its_hash_and_nothing_else() {
        let html = "<style charset=x>a{}</style><script>one</script><body><script a=b>two '<style>'</script>";
        assert_eq!(elements(html, "script"), ["one", "two '<style>'"]);
        let policy = policy("<script>x</script>");
        // sha256 of "x".
        assert!(
            policy.contains("script-src 'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='"),
            "{policy}"
        );
        assert!(!policy.contains("script-src 'self'") && !policy.contains("unsafe-eval"), "{policy}");
    }
}
