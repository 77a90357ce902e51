//! What a step came to, and the payload of a reply as the real agent shapes and cuts it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::agent::AGENT_VERSION;

/// Of each output, at most this many bytes are told. The real agent has a smaller limit for stderr in its constants,
/// and uses this one for both.
pub const LARGEST_OUTPUT: usize = 24_000;
const CUT: &str = "--output truncated--";
/// Both outputs together, as `output` has them.
const LARGEST_SUMMARY: usize = 2_500;
const ERROR_TITLE: &str = "\n----------ERROR-------\n";
const OUTPUT_CUT: &str = "\n---Output truncated---";
const ERROR_CUT: &str = "\n---Error truncated----";

/// How a step or a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as AWS names them")]
pub enum Status {
    InProgress,
    Success,
    Failed,
    TimedOut,
    Cancelled,
    Skipped,
}

impl Status {
    /// As the service knows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
        }
    }

    /// What several of them come to: the worst one.
    #[must_use]
    pub fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let rank = |status: &Self| match status {
            Self::Failed => 4,
            Self::TimedOut => 3,
            Self::Cancelled => 2,
            Self::InProgress => 1,
            Self::Success | Self::Skipped => 0,
        };
        match all.into_iter().max_by_key(rank) {
            Some(Self::Skipped) | None => Self::Success,
            Some(worst) => worst,
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    /// The step's name, or in schema 1.x the plugin's.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// How it ended.
    pub status: Status,
    /// Its exit code.
    pub code: i32,
    /// What was told instead of outputs, if it never ran.
    pub remark: Option<String>,
    /// All that was kept of the output.
    pub stdout: String,
    /// All that was kept of the errors.
    pub stderr: String,
    /// When it began.
    pub start: Timestamp,
    /// When it was over.
    pub end: Timestamp,
}

impl StepResult {
    fn told(&self) -> Value {
        let summary = || summary(&self.stdout, &self.stderr);
        json!({
            "status": self.status.as_str(),
            "code": if self.status == Status::Failed && self.code == 0 { 1 } else { self.code },
            "name": self.plugin,
            "output": self.remark.clone().unwrap_or_else(summary),
            "startDateTime": date(self.start),
            "endDateTime": date(self.end),
            "outputS3BucketName": "",
            "outputS3KeyPrefix": "",
            "stepName": "",
            "standardOutput": cut(&self.stdout),
            "standardError": cut(&self.stderr),
        })
    }
}

/// The reply about the whole document: before anything ran, or when nothing can run.
#[must_use]
pub fn document_payload(status: Status, trace: &str, gateway: Option<bool>) -> Value {
    payload(status, trace, &Value::Null, &Value::Null, gateway)
}

/// The reply after a step (`last` names it), or after all of them. With several steps the last reply has none of
/// them, since each was told before.
#[must_use]
pub fn step_payload(results: &[StepResult], last: Option<&str>, gateway: Option<bool>) -> Value {
    let mut counts = Map::new();
    for result in results {
        let count = counts.entry(result.status.as_str()).or_insert_with(|| json!(0));
        *count = json!(count.as_u64().unwrap_or_default() + 1);
    }
    let told: Map<String, Value> = results
        .iter()
        .filter(|result| last.map_or(results.len() == 1, |last| last == result.id))
        .map(|result| (result.id.clone(), result.told()))
        .collect();
    let status = match last {
        Some(_) => Status::InProgress,
        None => Status::of_all(results.iter().map(|result| result.status)),
    };
    payload(status, "", &Value::Object(counts), &Value::Object(told), gateway)
}

fn payload(status: Status, trace: &str, counts: &Value, told: &Value, gateway: Option<bool>) -> Value {
    let mut information = json!({
        "agent": {"lang": "en-US", "name": "amazon-ssm-agent", "os": "linux", "osver": "1", "ver": AGENT_VERSION},
        "dateTime": date(Timestamp::now()),
        "runId": "",
        "runtimeStatusCounts": counts,
    });
    if let (Some(gateway), Some(members)) = (gateway, information.as_object_mut()) {
        members.insert("ableToOpenMGSConnection".to_owned(), json!(gateway));
    }
    json!({
        "additionalInfo": information,
        "documentStatus": status.as_str(),
        "documentTraceOutput": trace,
        "runtimeStatus": told,
    })
}

/// A time as the agent writes it, in milliseconds.
#[must_use]
pub fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// One output, cut to what is told.
fn cut(text: &str) -> String {
    if text.len() < LARGEST_OUTPUT {
        return text.to_owned();
    }
    format!("{}{CUT}", beginning(text, LARGEST_OUTPUT - CUT.len()))
}

/// Both outputs in one text.
fn summary(stdout: &str, stderr: &str) -> String {
    let title = if stderr.is_empty() { "" } else { ERROR_TITLE };
    let room = LARGEST_SUMMARY - title.len();
    if stdout.len() + stderr.len() < room {
        return format!("{stdout}{title}{stderr}");
    }
    if stdout.len() > room / 2 && stderr.len() > room / 2 {
        let half = (room - ERROR_CUT.len() - OUTPUT_CUT.len()) / 2;
        let (stdout, stderr) = (beginning(stdout, half), beginning(stderr, half));
        return format!("{stdout}{OUTPUT_CUT}{title}{stderr}{ERROR_CUT}");
    }
    if stdout.len() <= room / 2 {
        let stderr = beginning(stderr, (room - ERROR_CUT.len()).saturating_sub(stdout.len()));
        return format!("{stdout}{title}{stderr}{ERROR_CUT}");
    }
    let stdout = beginning(stdout, (room - OUTPUT_CUT.len()).saturating_sub(stderr.len()));
    format!("{stdout}{OUTPUT_CUT}{title}{stderr}")
}

/// The first bytes of a text, none of its characters torn apart.
fn beginning(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::{Status, StepResult, cut, date, document_payload, step_payload, summary};

    fn result(id: &str, status: Status) -> StepResult {
        StepResult {
            id: id.to_owned(),
            plugin: "aws:runShellScript".to_owned(),
            status,
            code: 0,
            remark: None,
            stdout: "out".to_owned(),
            stderr: String::new(),
            start: Timestamp::UNIX_EPOCH,
            end: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_output_is_cut_at_24000_bytes_with_its_remark() {
        assert_eq!(cut(&"x".repeat(23_999)), "x".repeat(23_999));
        let long = cut(&"x".repeat(24_000));
        assert_eq!(long.len(), 24_000);
        assert!(long.ends_with("xxx--output truncated--"));
        assert!(cut(&"é".repeat(20_000)).ends_with("é--output truncated--"));
    }

    #[test]
    fn a_summary_has_2500_bytes_at_most() {
        assert_eq!(summary("a", ""), "a");
        assert_eq!(summary("a", "b"), "a\n----------ERROR-------\nb");
        let (long, short) = ("x".repeat(5_000), "y".repeat(10));
        for (stdout, stderr) in [(&long, &long), (&long, &short), (&short, &long)] {
            assert!(summary(stdout, stderr).len() <= 2_500);
        }
        assert!(
            summary(&long, &short).ends_with("\n---Output truncated---\n----------ERROR-------\nyyyyyyyyyy")
        );
        assert!(summary(&short, &long).ends_with("x\n---Error truncated----"));
    }

    #[test]
    fn a_reply_has_the_members_of_the_real_one() {
        let payload = step_payload(&[result("aws:runShellScript", Status::Failed)], None, None);
        assert_eq!(payload["documentStatus"], "Failed");
        assert_eq!(payload["documentTraceOutput"], "");
        assert_eq!(payload["additionalInfo"]["runtimeStatusCounts"], json!({"Failed": 1}));
        assert_eq!(
            payload["runtimeStatus"]["aws:runShellScript"],
            json!({
                "status": "Failed", "code": 1, "name": "aws:runShellScript", "output": "out",
                "startDateTime": "1970-01-01T00:00:00.000Z", "endDateTime": "1970-01-01T00:00:00.000Z",
                "outputS3BucketName": "", "outputS3KeyPrefix": "", "stepName": "", "standardOutput": "out",
                "standardError": "",
            })
        );
        assert!(payload["additionalInfo"].get("ableToOpenMGSConnection").is_none());
        let first = document_payload(Status::InProgress, "", Some(true));
        assert!(first["runtimeStatus"].is_null() && first["additionalInfo"]["runtimeStatusCounts"].is_null());
        assert_eq!(first["additionalInfo"]["ableToOpenMGSConnection"], true);
    }

    #[test]
    fn of_several_steps_each_is_told_once() {
        let results = [result("one", Status::Success), result("two", Status::Skipped)];
        let after_two = step_payload(&results, Some("two"), None);
        assert_eq!(after_two["documentStatus"], "InProgress");
        assert!(
            after_two["runtimeStatus"].get("one").is_none() && after_two["runtimeStatus"]["two"].is_object()
        );
        let last = step_payload(&results, None, None);
        assert_eq!((&last["documentStatus"], &last["runtimeStatus"]), (&json!("Success"), &json!({})));
    }

    #[test]
    fn the_worst_step_decides() {
        use Status::{Cancelled, Failed, Skipped, Success, TimedOut};
        for (all, worst) in [
            (vec![], Success),
            (vec![Skipped], Success),
            (vec![Success, Cancelled], Cancelled),
            (vec![TimedOut, Cancelled, Success], TimedOut),
            (vec![TimedOut, Failed], Failed),
        ] {
            assert_eq!(Status::of_all(all), worst);
        }
    }

    #[test]
    fn dates_have_milliseconds() {
        assert_eq!(date("2026-01-02T03:04:05.6789Z".parse().unwrap()), "2026-01-02T03:04:05.678Z");
    }
}
