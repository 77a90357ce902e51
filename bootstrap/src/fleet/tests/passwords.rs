//! Who is asked for a password, and which hosts see it.

use super::{fault::Fault, *};
use crate::{
    fleet::{Circle, PasswordSource},
    inventory::HostName,
};
use secrecy::SecretString;

/// What was asked and answered: the prompt, and the hosts or who refused.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// Someone who says these passwords, one after the other.
pub(super) struct Person {
    pub(super) known: Vec<(Option<&'static str>, &'static str)>,
    pub(super) log: Asked,
}

impl PasswordSource for Person {
    fn password(&mut self, prompt: Option<&str>, hosts: &Circle) -> Option<SecretString> {
        let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
        self.log.lock().unwrap().push(format!("{}? {}", prompt.unwrap_or("common"), names.join(" ")));
        let at = self.known.iter().position(|(whose, _)| *whose == prompt)?;
        Some(self.known.remove(at).1.into())
    }

    fn refused(&mut self, _prompt: Option<&str>, by: &HostName) {
        self.log.lock().unwrap().push(format!("refused by {by}"));
    }
}

fn needing<const N: usize>(names: [&str; N], needy: &[&str]) -> World {
    let mut world = World::new(names);
    for name in needy {
        world.machine(name).state().password = Some("right");
    }
    world.passwords = Some(vec![]);
    world
}

fn asked(world: &World) -> Vec<String> {
    world.asked.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn all_hosts_that_need_a_password_are_asked_for_once() {
    let mut world = needing(["a", "b", "c"], &["a", "c"]);
    world.passwords = Some(vec![(None, "right")]);
    assert_eq!(outcomes(&world.run().await), ["online"; 3]);
    assert_eq!(asked(&world), ["common? a c"]);
    assert_eq!(world.machine("a").state().execs, ["probe", "apply", "probe"]);
}

#[tokio::test(start_paused = true)]
async fn hosts_with_a_prompt_of_their_own_have_a_password_of_their_own() {
    let mut world = needing(["a", "b", "c"], &["a", "b", "c"]);
    world.machine("b").state().password = Some("other");
    world.edit = |host| host.become_prompt = (host.name.as_str() == "b").then(|| "rack 1".to_owned());
    world.passwords = Some(vec![(None, "right"), (Some("rack 1"), "other")]);
    assert_eq!(outcomes(&world.run().await), ["online"; 3]);
    assert_eq!(asked(&world), ["common? a c", "rack 1? b"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_seen_by_one_host_and_the_next_one_by_another() {
    let mut world = needing(["a", "b", "c"], &["a", "b", "c"]);
    world.passwords = Some(vec![(None, "wrong"), (None, "right")]);
    assert_eq!(outcomes(&world.run().await), ["online"; 3]);
    assert_eq!(asked(&world), ["common? a b c", "refused by a", "common? a b c"]);
    let refused = ["a", "b", "c"].map(|name| world.machine(name).state().refused);
    assert_eq!(refused, [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_wrong_more_than_three_times_and_the_rest_is_left_alone() {
    let mut world = needing(["a", "b", "c", "d", "e"], &["a", "b", "c", "d"]);
    world.passwords = Some(vec![(None, "wrong"); 9]);
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["failed", "failed", "failed", "failed", "online"]);
    let refused = ["a", "b", "c", "d"].map(|name| world.machine(name).state().refused);
    assert_eq!(refused, [1, 1, 1, 0]);
    let Outcome::Failed { why, hint, .. } = &report.hosts[3].outcome else { panic!("{report:?}") };
    assert!(why.contains("needs a password for sudo"), "{why}");
    assert!(hint.contains("--become-password-fd"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn where_no_other_host_is_left_nobody_is_asked_for_a_second_password() {
    let mut world = needing(["a", "b"], &["b"]);
    world.passwords = Some(vec![(None, "wrong"), (None, "right")]);
    assert_eq!(outcomes(&world.run().await), ["online", "failed"]);
    let asked = asked(&world);
    assert_eq!(asked.iter().filter(|line| line.starts_with("common?")).count(), 1, "{asked:?}");
    assert_eq!(
        world.machine("b").state().refused,
        1,
        "sudo leaves two marks each time, and three lock the account"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_with_another_password_than_its_circle_sees_the_wrong_one_once() {
    let mut world = needing(["a", "b"], &["a", "b"]);
    world.machine("b").state().password = Some("other");
    world.passwords = Some(vec![(None, "right")]);
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["online", "failed"]);
    assert_eq!(world.machine("b").state().refused, 1);
    let Outcome::Failed { hint, .. } = &report.hosts[1].outcome else { panic!("{report:?}") };
    assert!(hint.contains("become_prompt"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_no_host_is_looked_at_beforehand() {
    let mut world = needing(["a"], &["a"]);
    world.passwords = None;
    assert_eq!(outcomes(&world.run().await), ["failed"]);
    assert_eq!(world.machine("a").state().execs, ["probe"]);
    assert!(asked(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_was_refused_while_looking_is_not_tried_again_and_one_that_may_heal_is() {
    let mut world = needing(["a", "b", "c", "d"], &["d"]);
    world.passwords = Some(vec![(None, "right")]);
    for (name, fault) in [("a", Fault::LoginRefused), ("b", Fault::Unreachable), ("c", Fault::Untrusted)] {
        world.machine(name).clone().with_fault(fault);
    }
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["failed", "online", "online", "online"]);
    let Outcome::Failed { why, hint, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!((why.as_str(), hint.as_str()), ("the server does not accept it", "is the password right?"));
    let logins = |name: &str| world.machine(name).state().logins;
    assert_eq!(["a", "b", "c"].map(logins), [1, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn who_looks_for_long_says_how_far_it_is() {
    let mut world = needing(["a", "b", "c"], &["c"]);
    world.passwords = Some(vec![(None, "right")]);
    world.machine("a").clone().with_fault(Fault::Hangs("probe"));
    assert_eq!(outcomes(&world.run().await), ["online"; 3]);
    let asked = asked(&world);
    assert_eq!((asked[0].as_str(), asked.last().unwrap().as_str()), ("2 of 3", "common? c"));
}
