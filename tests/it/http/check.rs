//! One line for an answer, so that a case is one line too.

use wiber_tests::answer::Answer;

/// `200`, `404 not-found`, or for a 422 every violation, sorted: `422 content:missing fromUser:too-long`. An error must be
/// a whole problem document.
pub(crate) fn line(answer: &Answer) -> String {
    if answer.status < 400 {
        return answer.status.to_string();
    }
    let problem = answer.problem(answer.status);
    assert_eq!(problem["requestId"].as_str(), answer.header("x-request-id"), "{answer}");
    if answer.status != 422 {
        return format!("{} {}", answer.status, problem["code"].as_str().unwrap_or_default());
    }
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |error: &serde_json::Value, member: &str| {
        let text = error[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "a violation without {member} in {answer}");
        text.to_owned()
    };
    let mut violations: Vec<String> = errors
        .iter()
        .map(|error| {
            text(error, "detail");
            format!("{}:{}", text(error, "field"), text(error, "code"))
        })
        .collect();
    violations.sort();
    if violations.is_empty() {
        return format!("422 {}", problem["code"].as_str().unwrap_or_default());
    }
    format!("422 {}", violations.join(" "))
}
