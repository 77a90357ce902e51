//! `status amazon-ssm-agent` of upstart: `amazon-ssm-agent start/running, process 1234`.

use super::ServiceState;

/// What upstart says of a job.
///
/// There is nothing to enable: a job that is known starts at boot by its own `start on`.
#[must_use]
pub fn service_state(text: &str) -> ServiceState {
    // `<job> <goal>/<state>`; unknown jobs are told of as `initctl: Unknown job: <job>`.
    let goal_and_state = text.lines().find_map(|line| {
        let mut words = line.split([' ', ',']);
        let (_job, state) = (words.next()?, words.next()?);
        state.split_once('/')
    });
    match goal_and_state {
        Some((goal, state)) => ServiceState { active: goal == "start" && state == "running", enabled: true },
        None => ServiceState::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_job_starts_at_boot_and_runs_or_not() {
        let cases = [
            ("amazon-ssm-agent start/running, process 1234\n", (true, true)),
            ("amazon-ssm-agent stop/waiting\n", (false, true)),
            ("amazon-ssm-agent start/starting\n", (false, true)),
            ("amazon-ssm-agent stop/killed, process 17\n", (false, true)),
            ("initctl: Unknown job: amazon-ssm-agent\n", (false, false)),
            ("status: Unknown job: amazon-ssm-agent\n", (false, false)),
            ("", (false, false)),
        ];
        for (text, (active, enabled)) in cases {
            assert_eq!(service_state(text), ServiceState { active, enabled }, "{text:?}");
        }
    }
}
