//! The lines that a task leaves behind, for staff and status comment.
use serde_json::{Value, json};

use super::fault::Fault;

/// Lines of one attempt, oldest first.
#[derive(Debug, Default)]
pub struct TaskLog(Vec<Value>);

impl TaskLog {
    pub fn info(&mut self, stage: &str, message: impl Into<String>) {
        self.line(stage, "info", message.into());
    }

    /// A fault that is tried again is told once, however often it comes.
    pub fn warning(&mut self, fault: &Fault) {
        let told = self
            .0
            .last()
            .is_some_and(|line| line["message"] == fault.message && line["level"] == "warning");
        if !told {
            self.line(&fault.stage, "warning", fault.message.clone());
        }
    }

    pub fn error(&mut self, fault: &Fault) {
        self.line(&fault.stage, "error", fault.message.clone());
    }

    pub fn lines(&self) -> &[Value] {
        &self.0
    }

    fn line(&mut self, stage: &str, level: &str, message: String) {
        self.0.push(json!({
            "stage": stage,
            "level": level,
            "message": message,
            "created_at": chrono::Utc::now().to_rfc3339(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::deploy::FaultKind;

    #[test]
    fn a_fault_that_comes_again_is_one_line() {
        let mut log = TaskLog::default();
        let fault = |message: &str| Fault::new(FaultKind::Unavailable, "source", message);
        for message in ["away", "away", "slow", "away"] {
            log.warning(&fault(message));
        }
        log.error(&fault("away"));
        let lines: Vec<String> = log
            .lines()
            .iter()
            .map(|line| format!("{} {}", line["level"], line["message"]))
            .collect();
        assert_eq!(
            lines,
            [
                "\"warning\" \"away\"",
                "\"warning\" \"slow\"",
                "\"warning\" \"away\"",
                "\"error\" \"away\""
            ]
        );
    }
}
