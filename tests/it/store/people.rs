//! People: what they pause, resume and cancel, and what commands ask.

use campaignd::{
    run::{RunEvent, RunID, RunState},
    store::{Act, Control, Controlled, Question, Reply, Store, Stored, Target},
};

use super::{
    at, begin, campaign, change, chunks, is_not_found, is_refused, made, on_every_store, opened, recipients,
};

/// What alice does, and why; without a reason when it is empty.
pub fn act(why: &str) -> Act {
    Act { at: at(50), who: "alice".to_owned(), why: Some(why.to_owned()).filter(|why| !why.is_empty()) }
}

/// A control with the reason `why`.
pub fn control(store: &mut dyn Store, target: Target, control: Control) -> Stored<Vec<String>> {
    because(store, target, control, "why").map(|told| told.names)
}

/// A control with a reason; without one when it is empty.
fn because(store: &mut dyn Store, target: Target, control: Control, why: &str) -> Stored<Controlled> {
    change(store, |store| store.control(&target, control, &act(why)))
}

fn sale() -> Target {
    Target::Campaign(campaign("sale"))
}

fn paused() -> RunState {
    RunState::Paused { reason: "why".to_owned() }
}

#[test]
fn a_run_is_paused_resumed_and_cancelled() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let steps = [
            (Control::Pause, paused()),
            (Control::Resume, RunState::Running),
            (
                Control::Cancel,
                RunState::Ending { ending: campaignd::run::Ending::Cancelled, reason: "why".to_owned() },
            ),
        ];
        for (what, expected) in steps {
            let goes_on = expected == RunState::Running;
            assert_eq!(control(store, Target::Run(run.clone()), what).unwrap(), [run.as_str()]);
            assert_eq!(store.run(&run).unwrap().state, expected);
            let begun = begin(store, &run, 2, 1);
            assert_eq!(begun.is_some(), goes_on);
            if let Some(begun) = begun {
                change(store, |store| store.batch_withdraw(begun.attempt, at(2))).unwrap();
            }
        }
    });
}

#[test]
fn without_a_reason_the_person_is_the_reason() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        change(store, |store| store.control(&Target::All, Control::Pause, &act(""))).unwrap();
        assert_eq!(store.run(&run).unwrap().state, RunState::Paused { reason: "by alice".to_owned() });
        assert_eq!(store.campaigns().unwrap()[0].paused.as_deref(), Some("by alice"));
    });
}

#[test]
fn a_run_that_is_being_opened_can_be_cancelled() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let chunks = chunks(&recipients(4), 2);
        change(store, |store| store.run_open_part(&run, &chunks, &[], at(1))).unwrap();
        is_refused(control(store, Target::Run(run.clone()), Control::Pause));
        control(store, Target::Run(run.clone()), Control::Cancel).unwrap();
        let record = store.run(&run).unwrap();
        assert_eq!((record.state.name(), record.counts.audience), ("cancelled", 0));
    });
}

#[test]
fn a_campaign_is_paused_with_its_runs() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let other = opened(store, "news", 4, 2);
        for what in [Control::Pause, Control::Resume] {
            assert_eq!(control(store, sale(), what).unwrap(), ["sale", run.as_str()]);
            let is_paused = what == Control::Pause;
            assert_eq!(store.run(&run).unwrap().state == paused(), is_paused);
            let marked = store.campaigns().unwrap().into_iter().filter(|campaign| campaign.paused.is_some());
            assert_eq!(marked.count(), usize::from(is_paused));
            assert_eq!(store.run(&other).unwrap().state, RunState::Running);
        }
    });
}

#[test]
fn everything_is_paused_and_resumed() {
    on_every_store(|store| {
        let runs = ["sale", "news"].map(|name| opened(store, name, 4, 2));
        let told = ["everything", runs[0].as_str(), runs[1].as_str()];
        assert_eq!(control(store, Target::All, Control::Pause).unwrap(), told);
        assert!(store.campaigns().unwrap().iter().all(|campaign| campaign.paused.is_some()));
        assert_eq!(control(store, Target::All, Control::Resume).unwrap(), told);
        assert!(store.campaigns().unwrap().iter().all(|campaign| campaign.paused.is_none()));
        assert!(runs.iter().all(|run| store.run(run).unwrap().state == RunState::Running));
    });
}

/// A run of the campaign `sale` after each of the steps: what is done to what (`run`, `sale` or
/// `all`) with which reason; then the reason that it is paused for, empty when it runs, and what is
/// told to be paused still.
#[track_caller]
fn check_holds(steps: &[(&str, &str, &str, &str, &[&str])]) {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        for step @ (what, target, why, expected, still) in steps {
            let target = match *target {
                "run" => Target::Run(run.clone()),
                "sale" => sale(),
                _ => Target::All,
            };
            let control = if *what == "pause" { Control::Pause } else { Control::Resume };
            let told = because(store, target, control, why);
            match still {
                ["refused", command] => {
                    let text = told.unwrap_err().to_string();
                    assert!(text.contains(command), "{step:?}: {text}");
                }
                _ => {
                    assert_eq!(told.unwrap().still.join("\n").replace(run.as_str(), "run"), still.join("\n"))
                }
            }
            let state = store.run(&run).unwrap().state;
            let runs = state == RunState::Running;
            assert_eq!(
                (state.reason().unwrap_or_default(), runs),
                (*expected, expected.is_empty()),
                "{step:?}"
            );
            let begun = begin(store, &run, 2, 1);
            assert_eq!(begun.is_some(), runs, "{step:?}");
            if let Some(begun) = begun {
                change(store, |store| store.batch_withdraw(begun.attempt, at(2))).unwrap();
            }
        }
    });
}

#[test]
fn each_pause_is_lifted_by_its_own_resume() {
    // The outer one first.
    check_holds(&[
        ("pause", "sale", "list", "list", &[]),
        ("pause", "all", "moving", "list", &[]),
        ("resume", "all", "", "list", &["sale is still paused (list)"]),
        ("resume", "sale", "", "", &[]),
    ]);
    check_holds(&[
        ("pause", "run", "picture", "picture", &[]),
        ("pause", "sale", "list", "picture", &[]),
        ("resume", "sale", "", "picture", &["run is still paused (picture)"]),
        ("pause", "all", "moving", "picture", &[]),
        ("resume", "all", "", "picture", &["run is still paused (picture)"]),
        ("resume", "run", "", "", &[]),
    ]);
    // The inner one first.
    check_holds(&[
        ("pause", "all", "moving", "moving", &[]),
        ("pause", "sale", "list", "moving", &[]),
        ("pause", "run", "picture", "picture", &[]),
        (
            "resume",
            "run",
            "",
            "list",
            &["everything is still paused (moving)", "sale is still paused (list)"],
        ),
        ("resume", "run", "", "list", &["refused", "`campaignd resume sale`"]),
        ("resume", "sale", "", "moving", &["everything is still paused (moving)"]),
        ("resume", "run", "", "moving", &["refused", "`campaignd resume --all`"]),
        ("resume", "all", "", "", &[]),
    ]);
    // The campaign, which the run did not wait for.
    check_holds(&[
        ("pause", "all", "moving", "moving", &[]),
        ("pause", "sale", "list", "moving", &[]),
        ("resume", "sale", "", "moving", &["everything is still paused (moving)"]),
        ("pause", "sale", "list", "moving", &[]),
        ("resume", "all", "", "list", &["sale is still paused (list)"]),
        ("resume", "sale", "", "", &[]),
    ]);
}

#[test]
fn the_daemons_own_pause_is_lifted_by_the_runs_resume_alone() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        control(store, Target::All, Control::Pause).unwrap();
        let pause = RunEvent::Pause { reason: "everyone failed".to_owned() };
        change(store, |store| store.run_event(&run, pause, None, at(2))).unwrap();
        let told = because(store, Target::All, Control::Resume, "").unwrap();
        assert_eq!(told.still, [format!("{run} is still paused (everyone failed)")]);
        assert_eq!(store.run(&run).unwrap().state.name(), "paused");
        assert_eq!(control(store, Target::Run(run.clone()), Control::Resume).unwrap(), [run.as_str()]);
        assert_eq!(store.run(&run).unwrap().state, RunState::Running);
    });
}

#[test]
fn a_pause_that_is_repeated_has_a_new_reason_only_when_one_is_given() {
    for target in ["run", "sale", "all"] {
        check_holds(&[
            ("pause", target, "one", "one", &[]),
            ("pause", target, "", "one", &[]),
            ("pause", target, "two", "two", &[]),
            ("resume", target, "", "", &[]),
            ("pause", target, "", "by alice", &[]),
        ]);
    }
    // What holds a run besides is no reason for its own pause.
    check_holds(&[("pause", "all", "moving", "moving", &[]), ("pause", "run", "", "by alice", &[])]);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let one = || Target::Run(run.clone());
        is_refused(control(store, one(), Control::Resume));
        is_refused(control(store, sale(), Control::Cancel));
        is_refused(control(store, Target::All, Control::Cancel));
        is_not_found(control(store, Target::Run(RunID::from_text("none")), Control::Pause));
        is_not_found(control(store, Target::Campaign(campaign("none")), Control::Pause));
        assert_eq!(store.run(&run).unwrap().state, RunState::Running);
    });
}

fn send(name: &str) -> Question {
    Question::Send { campaign: name.to_owned(), to: vec!["u001".to_owned()], again: true }
}

#[test]
fn questions_are_answered_or_taken_back() {
    on_every_store(|store| {
        let ask = |store: &mut dyn Store, name| {
            change(store, |store| store.question_ask(&send(name), at(0))).unwrap()
        };
        let [first, second, third] = ["a", "b", "c"].map(|name| ask(store, name));
        let open = [(first, at(0), send("a")), (second, at(0), send("b")), (third, at(0), send("c"))];
        assert_eq!(store.questions_open().unwrap(), open);
        assert_eq!(store.question_reply(first).unwrap(), None);

        let reply = Reply::Run("a@20261111T010000Z.t1".to_owned());
        change(store, |store| store.question_answer(first, &reply)).unwrap();
        change(store, |store| store.question_withdraw(second)).unwrap();
        assert_eq!(store.questions_open().unwrap(), open[2..]);
        assert_eq!(store.question_reply(first).unwrap(), Some(reply.clone()));

        // Too late: the one is answered, the other gone.
        change(store, |store| store.question_withdraw(first)).unwrap();
        assert_eq!(store.question_reply(first).unwrap(), Some(reply));
        change(store, |store| store.question_answer(second, &Reply::Refused("no".to_owned()))).unwrap();
        assert_eq!(store.question_reply(second).unwrap(), None);
    });
}

#[test]
fn a_window_pauses_and_lifts_itself_alone() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let one = || Target::Run(run.clone());
        let window = |store: &mut dyn Store, closed: Option<&str>| {
            change(store, |store| store.run_window(&run, closed, at(5))).unwrap()
        };
        let closed = Some("window: closed until 09:00");
        let paused = |why: &str| RunState::Paused { reason: why.to_owned() };
        assert_eq!(window(store, None), RunState::Running);
        assert_eq!(window(store, closed), paused("window: closed until 09:00"));
        assert_eq!(window(store, closed), paused("window: closed until 09:00"), "said again");
        assert!(begin(store, &run, 2, 1).is_none(), "nothing leaves");
        // No resume opens it.
        is_refused(control(store, one(), Control::Resume));
        assert_eq!(control(store, sale(), Control::Resume).unwrap(), ["sale"]);
        assert_eq!(store.run(&run).unwrap().state, paused("window: closed until 09:00"));
        // A person's pause stacks on it, and is lifted by the person.
        control(store, one(), Control::Pause).unwrap();
        assert_eq!(window(store, None).name(), "paused");
        assert_eq!(window(store, closed).name(), "paused");
        control(store, one(), Control::Resume).unwrap();
        assert_eq!(store.run(&run).unwrap().state, paused("window: closed until 09:00"));
        // So does that of its campaign, where the window opens first.
        because(store, sale(), Control::Pause, "not now").unwrap();
        assert_eq!(window(store, None), paused("not now"));
        control(store, sale(), Control::Resume).unwrap();
        assert_eq!(window(store, None), RunState::Running);
        assert!(begin(store, &run, 2, 1).is_some());
    });
}
