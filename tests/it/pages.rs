//! The pages that an integrator reads and tries, and who is shown them.

use aqua_orders::config::Config;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_pages_are_on_the_operators_listener_and_on_the_public_one_only_when_the_settings_say_so()
 {
    let pages = [
        "/docs",
        "//docs/%20",
        "/docs/docs.js",
        "/docs/page.css",
        "/docs/page.js",
        "/docs/icon.svg",
        "/try",
        "/docs/try.js",
    ];
    let files = pages.into_iter().chain(["/openapi.json"]);
    for public in [false, true] {
        let app = TestApp::with(|config: &mut Config| config.operator.public_docs = public).await;
        for path in files.clone() {
            let there = reqwest::get(format!("http://{}{path}", app.operators_address))
                .await
                .unwrap();
            assert_eq!(there.status(), 200, "{path}");
            let policy = there.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(
                policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert_eq!(there.headers()["x-content-type-options"], "nosniff");
            let text = there.text().await.unwrap();
            let here = reqwest::get(format!("http://{}{path}", app.address))
                .await
                .unwrap();
            if public {
                assert_eq!(here.text().await.unwrap(), text, "{path}");
            } else {
                assert_eq!(here.status(), 404, "{path}");
            }
        }
        // They are no orders.
        let processed = app
            .metric(r#"aqua_requests_total{outcome="processed"}"#)
            .await;
        assert_eq!(processed, 0);
    }
}

#[tokio::test]
async fn a_page_loads_nothing_from_elsewhere_and_has_nothing_inline() {
    let app = TestApp::start().await;
    for page in ["/docs", "/try"] {
        let (_, text) = app.operator(page).await;
        let mut files = 0;
        for attribute in ["src=\"", "href=\""] {
            for (at, _) in text.match_indices(attribute) {
                let rest = &text[at + attribute.len()..];
                let to = &rest[..rest.find('"').unwrap()];
                if to.starts_with('#') {
                    continue;
                }
                files += 1;
                let (status, _) = app.operator(to).await;
                assert!(to.starts_with('/') && status == 200, "{page}: {to}");
            }
        }
        assert!(files >= 4, "{page}");
        for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
            assert!(!text.contains(inline), "{page}: {inline}");
        }
    }
    // What an order says never becomes a part of the page.
    for script in ["/docs/docs.js", "/docs/try.js", "/docs/page.js"] {
        let (_, text) = app.operator(script).await;
        for danger in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!text.contains(danger), "{script}: {danger}");
        }
    }
}
