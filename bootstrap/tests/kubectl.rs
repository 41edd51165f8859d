//! A working day with kubectl, a client that nobody here wrote, against the process node.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bootstrap::progress::Silent;
use bootstrap::{EmbeddedTarget, UpOptions};

/// Objects of the day: a Deployment, a Job that succeeds, one that never does, and a CronJob.
const DAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubectl/day.yaml");

/// Longest wait until the first Pod of the day runs.
const BEGIN_DEADLINE: Duration = Duration::from_secs(60);

/// kubectl with the administrator's kubeconfig, in one namespace.
struct Kubectl {
    program: PathBuf,
    first: Vec<String>,
    kubeconfig: PathBuf,
    home: tempfile::TempDir,
}

impl Kubectl {
    fn of(target: &EmbeddedTarget) -> Self {
        let (program, first) = target.assets.component("kubectl");
        Self {
            program,
            first,
            kubeconfig: target.kubeconfig_admin.clone(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs it with arguments that hold no blanks.
    fn run(&self, arguments: &str) -> Output {
        Command::new(&self.program)
            .args(&self.first)
            .args(["--namespace", "day"])
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .unwrap()
    }

    /// What it prints, which must be a success: made [`plain`].
    #[track_caller]
    fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "kubectl {arguments}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        plain(&text)
    }

    /// Compares all that it prints; blanks at the beginning of lines do not count.
    #[track_caller]
    fn must_say(&self, arguments: &str, expected: &str) {
        assert_eq!(
            self.says(arguments),
            plain(expected.trim()),
            "kubectl {arguments}"
        );
    }

    /// Waits until the Pod of a Job has begun: as with any kubelet there is no log to ask for before that.
    #[track_caller]
    fn begins(&self, job: &str) {
        let states = format!(
            "get pods -l job-name={job} -o jsonpath={{.items[*].status.containerStatuses[*].state}}"
        );
        let asked = Instant::now();
        let mut seen = String::new();
        while !seen.contains("startedAt") {
            assert!(
                asked.elapsed() < BEGIN_DEADLINE,
                "job {job} has not begun: {seen:?}"
            );
            seen = self.says(&states);
        }
    }

    /// The line with which a rollout ends; how many lines of waiting come before it differs.
    #[track_caller]
    fn rolls_out(&self) {
        let said = self.says("rollout status deployment/web --timeout=60s");
        let last = said.lines().last();
        assert_eq!(
            last,
            Some("deployment \"web\" successfully rolled out"),
            "{said}"
        );
    }
}

/// Lines without what differs from day to day: blanks between columns become one; ages, addresses, ids and the ends of
/// names that controllers draw become words.
fn plain(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let words: Vec<String> = line.split_whitespace().map(plain_word).collect();
            words.join(" ")
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

fn plain_word(word: &str) -> String {
    let is_age = word.ends_with(['s', 'm'])
        && word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .chars()
            .all(|letter| letter.is_ascii_digit() || matches!(letter, 's' | 'm'));
    if is_age {
        return "AGE".to_owned();
    }
    if word.starts_with("127.") {
        return "ADDRESS".to_owned();
    }
    if let Some((key, value)) = word.split_once('=')
        && uuid::Uuid::parse_str(value).is_ok()
    {
        return format!("{key}=UID");
    }
    // Controllers draw from consonants and digits without 0, 1 and 3.
    let is_drawn = |part: &str| {
        (5..=10).contains(&part.len())
            && part
                .chars()
                .all(|letter| "bcdfghjklmnpqrstvwxz2456789".contains(letter))
    };
    let parts: Vec<&str> = word
        .split('-')
        .enumerate()
        .map(|(place, part)| {
            if place > 0 && is_drawn(part) {
                "?"
            } else {
                part
            }
        })
        .collect();
    parts.join("-")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_day_with_kubectl() {
    let target = EmbeddedTarget::up(UpOptions::new(&Silent).unwrap())
        .await
        .unwrap();
    let kubectl = Kubectl::of(&target);
    // The target is taken down whatever the day brings.
    let day = tokio::task::spawn_blocking(move || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            morning(&kubectl);
            noon(&kubectl);
            evening(&kubectl);
        }))
    })
    .await
    .unwrap();
    let report = target.down().await.unwrap();
    if let Err(panic) = day {
        std::panic::resume_unwind(panic);
    }
    assert!(report.is_clean(), "{report:?}");
}

/// Objects are made, and people look at them.
fn morning(kubectl: &Kubectl) {
    kubectl.must_say(
        "get nodes",
        concat!(
            "NAME STATUS ROLES AGE VERSION\n",
            "gonogo Ready <none> AGE v",
            env!("CARGO_PKG_VERSION"),
            "-process-node"
        ),
    );
    kubectl.must_say("create namespace day", "namespace/day created");
    kubectl.must_say(
        &format!("apply -f {DAY}"),
        "deployment.apps/web created
         job.batch/count created
         job.batch/stubborn created
         cronjob.batch/nightly created",
    );
    kubectl.begins("count");
    // Follows from the first line to the end of the container.
    kubectl.must_say("logs -f job/count", "line 1\nline 2\nline 3");
    kubectl.rolls_out();
    for (job, condition) in [("count", "complete"), ("stubborn", "failed")] {
        kubectl.must_say(
            &format!("wait --for=condition={condition} job/{job} --timeout=60s"),
            &format!("job.batch/{job} condition met"),
        );
    }
    kubectl.must_say(
        "get deployments,pods,jobs,cronjobs -o wide",
        "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR
         deployment.apps/web 2/2 2 2 AGE web none app=web
         NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES
         pod/count-? 0/1 Completed 0 AGE ADDRESS gonogo <none> <none>
         pod/stubborn-? 0/1 Error 0 AGE ADDRESS gonogo <none> <none>
         pod/stubborn-? 0/1 Error 0 AGE ADDRESS gonogo <none> <none>
         pod/web-?-? 1/1 Running 0 AGE ADDRESS gonogo <none> <none>
         pod/web-?-? 1/1 Running 0 AGE ADDRESS gonogo <none> <none>
         NAME STATUS COMPLETIONS DURATION AGE CONTAINERS IMAGES SELECTOR
         job.batch/count Complete 1/1 AGE AGE count none batch.kubernetes.io/controller-uid=UID
         job.batch/stubborn Failed 0/1 AGE AGE stubborn none batch.kubernetes.io/controller-uid=UID
         NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE CONTAINERS IMAGES SELECTOR
         cronjob.batch/nightly 0 3 * * * <none> False 0 <none> AGE nightly none <none>",
    );
    let described = kubectl.says("describe pods --selector app=web");
    for line in [
        "Status: Running",
        "GREETING: hello",
        "Ready True",
        "Normal Scheduled AGE default-scheduler Successfully assigned day/web-?-? to gonogo",
        "Normal Started AGE process-node Started container web",
    ] {
        let seen = described.lines().filter(|found| *found == line).count();
        assert_eq!(seen, 2, "{line:?} once for each Pod in:\n{described}");
    }
    kubectl.must_say(
        "get events --field-selector involvedObject.name=stubborn --sort-by=.metadata.creationTimestamp",
        "LAST SEEN TYPE REASON OBJECT MESSAGE
         AGE Normal SuccessfulCreate job/stubborn Created pod: stubborn-?
         AGE Normal SuccessfulCreate job/stubborn Created pod: stubborn-?
         AGE Warning BackoffLimitExceeded job/stubborn Job has reached the specified backoff limit",
    );
    let exit_codes = "{.items[*].status.containerStatuses[*].state.terminated.exitCode}";
    kubectl.must_say(
        &format!("get pods --selector job-name=stubborn -o jsonpath={exit_codes}"),
        "3 3",
    );
}

/// A Deployment is changed, changed back and made smaller.
fn noon(kubectl: &Kubectl) {
    let greeting = || {
        let said = kubectl.says("logs --selector app=web --tail=1");
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.dedup();
        lines
    };
    kubectl.must_say(
        "set env deployment/web GREETING=goodbye",
        "deployment.apps/web env updated",
    );
    kubectl.rolls_out();
    kubectl.must_say(
        "rollout history deployment/web",
        "deployment.apps/web
         REVISION CHANGE-CAUSE
         1 <none>
         2 <none>",
    );
    assert!(greeting().contains(&"serving goodbye".to_owned()));
    kubectl.must_say(
        "rollout undo deployment/web",
        "deployment.apps/web rolled back",
    );
    kubectl.rolls_out();
    kubectl.must_say(
        "scale deployment/web --replicas=0",
        "deployment.apps/web scaled",
    );
    kubectl.says("wait --for=delete pods --selector app=web --timeout=30s");
    kubectl.must_say(
        "get deployment web",
        "NAME READY UP-TO-DATE AVAILABLE AGE
         web 0/0 0 0 AGE",
    );
    kubectl.must_say(
        "scale deployment/web --replicas=1",
        "deployment.apps/web scaled",
    );
    kubectl.rolls_out();
    assert_eq!(greeting(), ["serving hello"]);
}

/// The CronJob works by hand and by itself; then everything is cleared away.
fn evening(kubectl: &Kubectl) {
    kubectl.must_say(
        "create job tonight --from=cronjob/nightly",
        "job.batch/tonight created",
    );
    kubectl.must_say(
        "wait --for=condition=complete job/tonight --timeout=60s",
        "job.batch/tonight condition met",
    );
    kubectl.must_say("logs job/tonight", "swept");
    kubectl.must_say(
        r#"patch cronjob nightly --patch {"spec":{"schedule":"@every\u00201s"}}"#,
        "cronjob.batch/nightly patched",
    );
    kubectl.must_say(
        "wait --for=jsonpath={.status.lastSuccessfulTime} cronjob/nightly --timeout=90s",
        "cronjob.batch/nightly condition met",
    );
    kubectl.must_say(
        &format!("delete -f {DAY} --cascade=foreground"),
        "deployment.apps \"web\" deleted from day namespace
         job.batch \"count\" deleted from day namespace
         job.batch \"stubborn\" deleted from day namespace
         cronjob.batch \"nightly\" deleted from day namespace",
    );
    // What was made from the CronJob goes with it, a moment later. It fails where all has gone already; what counts is what is left.
    kubectl.says("wait --for=delete job/tonight --timeout=30s");
    kubectl.run("wait --for=delete pods --all --timeout=30s");
    let left = kubectl.run("get all");
    assert_eq!(
        String::from_utf8_lossy(&left.stderr).trim(),
        "No resources found in day namespace."
    );
    kubectl.must_say("delete namespace day", "namespace \"day\" deleted");
    let refused = kubectl.run("get namespace day");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("namespaces \"day\" not found"), "{said}");
}
