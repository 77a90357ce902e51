//! The display for a person at a terminal: finished hosts scroll by above, active hosts and the
//! fleet's bar move below. Only drawing happens here; what is drawn comes from [`Fleet`].
//!
//! Everything below is one message of one indicatif bar: a bar for each host would redraw all of
//! them for each, and the rate limit would then starve the last ones. The cursor is never hidden,
//! so that even a killed run leaves a usable terminal.

use std::{fmt, io};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::{
    Paint,
    active::{Fleet, Room},
    clean,
    plain::{INTERRUPTED, ended},
    retry,
};
use crate::events::{Event, Reader};

/// More lines than this are not read, only scrolled past.
const MOST_LINES: usize = 16;

/// The moving display.
pub struct Terminal {
    bar: ProgressBar,
    fleet: Fleet,
    paint: Paint,
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    clock: Box<dyn Fn() -> Timestamp + Send>,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

impl Terminal {
    /// The display on stderr.
    #[must_use]
    pub fn stderr(color: bool) -> Self {
        let size =
            || rustix::termios::tcgetwinsize(io::stderr()).map_or((0, 0), |size| (size.ws_row, size.ws_col));
        Self::new(ProgressDrawTarget::stderr(), color, Box::new(size), Box::new(Timestamp::now))
    }

    fn new(
        target: ProgressDrawTarget,
        color: bool,
        size: Box<dyn Fn() -> (u16, u16) + Send>,
        clock: Box<dyn Fn() -> Timestamp + Send>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        // indicatif's own default would be shown if the template were wrong; it is a constant.
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, fleet: Fleet::default(), paint: Paint(color), size, clock }
    }

    /// The room there is now: asked for each time, since terminals are resized.
    fn room(&self) -> Room {
        // A serial console says 0 for what it does not know.
        let known = |size: u16, else_: u16| if size == 0 { else_ } else { size };
        let (rows, columns) = (self.size)();
        let (rows, columns) = (known(rows, 24), known(columns, 80));
        Room {
            lines: usize::from(rows).saturating_sub(4).clamp(1, MOST_LINES),
            columns: usize::from(columns),
        }
    }

    fn draw(&mut self) {
        if self.fleet.is_running() && !self.bar.is_finished() {
            let room = self.room();
            let text = self.fleet.draw((self.clock)(), room, self.paint);
            self.bar.set_message(text);
        }
    }

    /// Lets a line scroll by above the moving part.
    fn say(&mut self, line: &str) {
        self.draw();
        self.bar.println(line);
    }
}

impl Reader for Terminal {
    fn read(&mut self, at: Timestamp, event: &Event) {
        self.fleet.read(at, event);
        let paint = self.paint;
        match event {
            Event::HostDone(report) => {
                let line = ended(report);
                let line = clean(&line);
                let mark = if report.outcome.is_good() { paint.good("✓") } else { paint.bad("✗") };
                self.say(&format!("{mark} {line}"));
            }
            Event::Retry { host, number, of, after, why } => {
                let text = retry(*number, *of, *after, why);
                self.say(&format!("{} {host}: {}", paint.note("!"), clean(&text)));
            }
            Event::Warning { host: Some(host), text } => {
                self.say(&format!("{} {host}: {}", paint.note("!"), clean(text)));
            }
            Event::Warning { host: None, text } => self.say(&format!("{} {}", paint.note("!"), clean(text))),
            Event::ActivationLeft { id, why } => {
                let mark = paint.note("!");
                self.say(&format!("{mark} activation {id} could not be deleted: {}", clean(why)));
            }
            Event::Interrupted => self.say(&paint.note(INTERRUPTED)),
            Event::RunDone(_) => self.bar.finish_and_clear(),
            _ => {}
        }
    }

    fn tick(&mut self) {
        self.draw();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A run that ends with an error sends no RunDone; its message should not follow half a bar.
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, AtomicU16, Ordering},
    };

    use indicatif::InMemoryTerm;

    use super::{super::story, *};
    use crate::events::Step;

    /// A terminal whose size and clock the test sets.
    struct Stage {
        screen: InMemoryTerm,
        display: Terminal,
        second: Arc<AtomicI64>,
        columns: Arc<AtomicU16>,
    }

    fn stage(rows: u16, columns: u16, color: bool) -> Stage {
        let screen = InMemoryTerm::new(rows, columns);
        let (second, width) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU16::new(columns)));
        let (clock, size) = (Arc::clone(&second), Arc::clone(&width));
        let display = Terminal::new(
            ProgressDrawTarget::term_like(Box::new(screen.clone())),
            color,
            Box::new(move || (rows, size.load(Ordering::Relaxed))),
            Box::new(move || story::at(clock.load(Ordering::Relaxed))),
        );
        Stage { screen, display, second, columns: width }
    }

    impl Stage {
        fn tell(&mut self, second: i64, event: &Event) {
            self.second.store(second, Ordering::Relaxed);
            self.display.read(story::at(second), event);
        }

        fn look(&mut self) -> String {
            self.display.tick();
            // Which frame of the spinner it is depends on the number of draws.
            self.screen.contents().chars().map(|c| if ('⠀'..='⣿').contains(&c) { '*' } else { c }).collect()
        }
    }

    #[test]
    fn active_hosts_move_below_and_ended_ones_are_lines_above() {
        let mut stage = stage(30, 100, false);
        for (at, event) in story::whole().iter().filter(|(at, _)| *at <= story::at(6)) {
            stage.tell(at.duration_since(story::at(0)).as_secs(), event);
        }
        stage.second.store(65, Ordering::Relaxed);
        insta::assert_snapshot!(stage.look(), @r#"
        ! AWS's key expires in 60 days
        ! deb-1: its clock is 40 s behind
        ✓ rpm-1: online, unchanged, mi-0fedcba9876543210, in 0.9 s
        ✗ deb-2: failed: install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
        * deb-1  install     1 min 04 s
        * deb-3  connect     1 min 04 s
        ━━━━━━────────────── 2/6 hosts, 1 min 05 s, 1 online, 1 failed
        "#);
    }

    #[test]
    fn at_the_end_only_the_lines_about_hosts_and_warnings_stay() {
        let mut stage = stage(30, 100, false);
        for (at, event) in &story::whole() {
            stage.tell(at.duration_since(story::at(0)).as_secs(), event);
        }
        insta::assert_snapshot!(stage.look(), @r#"
        ! AWS's key expires in 60 days
        ! deb-1: its clock is 40 s behind
        ✓ rpm-1: online, unchanged, mi-0fedcba9876543210, in 0.9 s
        ✗ deb-2: failed: install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
        ✓ deb-1: online, changed, mi-0123456789abcdef0, in 8.1 s
        interrupted: nothing new starts, what runs is ended; a second Ctrl-C drops everything
        ✗ deb-3: unreachable: connection to 10.0.0.4:22 timed out after 10 s
        ✗ rpm-2: registered, not online: SSM says ConnectionLost after 120 s
        ✗ rpm-3: skipped: the run was interrupted before its turn
        ! activation 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab could not be deleted: the endpoint does not answer
        "#);
    }

    #[test]
    fn of_200_active_hosts_the_longest_running_are_shown_and_the_rest_counted() {
        let mut stage = stage(40, 80, false);
        let names: Vec<_> = (1..=200).map(|number| format!("pi-{number:03}")).collect();
        let hosts: Vec<_> = names.iter().map(|name| (name.as_str(), "dev")).collect();
        stage.tell(0, &story::start(&hosts));
        // The last names start first, so that the order is not that of the names.
        for (second, name) in (0..).zip(names.iter().rev()) {
            stage.tell(second, &story::step(name, Step::Connect));
        }
        let screen = stage.look();
        let lines: Vec<_> = screen.lines().collect();
        assert_eq!(lines.len(), 17, "{screen}");
        assert_eq!(lines[0], "* pi-200  connect     3 min 19 s");
        assert_eq!(lines[14], "* pi-186  connect     3 min 05 s");
        assert_eq!(lines[15], "  +185 more");
        assert!(lines[16].ends_with("0/200 hosts, 3 min 19 s"), "{screen}");
    }

    #[test]
    fn a_low_terminal_gets_fewer_lines_and_keeps_the_bar() {
        let mut stage = stage(8, 80, false);
        let hosts: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|name| (name, "dev")).into();
        stage.tell(0, &story::start(&hosts));
        for (name, _) in hosts {
            stage.tell(1, &story::step(name, Step::Install));
        }
        let screen = stage.look();
        assert_eq!(screen.lines().count(), 5, "{screen}");
        assert!(screen.contains("+3 more") && screen.contains("0/6 hosts"), "{screen}");
    }

    #[test]
    fn after_a_resize_no_line_is_longer_than_the_terminal() {
        let mut stage = stage(30, 100, true);
        stage.tell(0, &story::start(&[("a-host-with-quite-a-long-name.example.org", "dev")]));
        stage.tell(1, &story::step("a-host-with-quite-a-long-name.example.org", Step::Install));
        assert!(stage.look().contains("example.org  install"));
        stage.columns.store(20, Ordering::Relaxed);
        let screen = stage.look();
        assert!(screen.contains("* a-host-with-quite…"), "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 20), "{screen}");
    }

    #[test]
    fn a_terminal_that_does_not_know_its_size_is_taken_for_a_common_one() {
        let mut stage = stage(24, 80, false);
        stage.columns.store(0, Ordering::Relaxed);
        stage.tell(0, &story::start(&[("deb-1", "dev")]));
        stage.tell(1, &story::step("deb-1", Step::Install));
        let screen = stage.look();
        assert!(screen.contains("* deb-1  install") && screen.contains("0/1 hosts"), "{screen}");
    }

    #[test]
    fn without_colours_no_colour_is_sent_and_the_cursor_is_never_hidden() {
        for color in [false, true] {
            let mut stage = stage(30, 100, color);
            for (at, event) in story::whole().iter().take(27) {
                stage.tell(at.duration_since(story::at(0)).as_secs(), event);
            }
            stage.display.tick();
            let sent = String::from_utf8(stage.screen.contents_formatted()).unwrap();
            assert_eq!(sent.contains("\u{1b}[31m"), color, "{sent:?}");
            assert!(!sent.contains("\u{1b}[?25l"), "{sent:?}");
        }
    }

    #[test]
    fn a_run_that_ends_with_an_error_leaves_no_half_bar() {
        let mut stage = stage(30, 100, false);
        stage.tell(0, &story::start(&[("deb-1", "dev")]));
        stage.tell(1, &story::step("deb-1", Step::Connect));
        assert!(stage.look().contains("0/1 hosts"));
        drop(stage.display);
        assert_eq!(stage.screen.contents(), "");
    }
}
