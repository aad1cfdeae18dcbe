//! Origins that are set may call from a browser, others may not.

use libtest_mimic::Trial;
use wiber_tests::answer::Answer;
use wiber_tests::host::Host;
use wiber_tests::stack::Plan;
use wiber_tests::tests_on;

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; origins_that_are_set_are_granted]
}

const GRANTED: [&str; 2] = ["https://app.example.test", "https://other.example.test"];

async fn origins_that_are_set_are_granted(host: Host) {
    let stack =
        Plan::new("cors").host(host).bridges(0).variable("cors_origins", &GRANTED.join(", ")).start_unready().await;
    let call = async |method: &str, path: &str, origin: &str| -> Answer {
        let call = stack.client.call(method, path).header("origin", origin);
        call.header("access-control-request-method", "POST").go().await
    };
    for path in ["/messages", "/messages/a/b", "/health/liveness", "/unknown"] {
        for origin in GRANTED {
            let answer = call("OPTIONS", path, origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer}");
            let vary = answer.header("vary").unwrap_or_default().to_lowercase();
            assert!(vary.contains("origin"), "{answer}");
        }
        let answer = call("OPTIONS", path, "https://evil.example.test").await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{answer}");
    }
    let preflight = call("OPTIONS", "/messages", GRANTED[0]).await.expect(204);
    let methods = preflight.header("access-control-allow-methods").unwrap_or_default();
    assert!(methods.contains("POST"), "{preflight}");
    let headers = preflight.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    for name in ["content-type", "idempotency-key", "x-request-id"] {
        assert!(headers.contains(name), "{preflight}");
    }
    let refused = call("GET", "/messages", GRANTED[0]).await.expect(405);
    assert_eq!(refused.header("access-control-allow-origin"), Some(GRANTED[0]), "errors are readable too: {refused}");
}
