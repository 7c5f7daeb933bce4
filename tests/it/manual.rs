//! Shell completion and the manual page are made from the command line's own declarations.

use crate::desk::Desk;

fn desk() -> Desk {
    Desk::new("gateways: {sandbox: {kind: sandbox}}\n", &[])
}

#[test]
fn every_shell_completes_every_command() {
    let desk = desk();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = desk.ends(&["completions", shell], 0).out;
        for word in ["campaignd", "serve", "unlock"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    desk.ends(&["completions", "cmd"], 2);
}

#[test]
fn there_is_a_page_for_each_command() {
    let desk = desk();
    for (command, title) in [
        (&["man"][..], ".TH campaignd 1"),
        (&["man", "send"], ".TH campaignd-send 1"),
        (&["man", "db", "unlock"], ".TH campaignd-db-unlock 1"),
    ] {
        let page = desk.ends(command, 0).out;
        assert!(page.contains(title), "{title}: {}", &page[..200.min(page.len())]);
    }
    let said = desk.ends(&["man", "none"], 4);
    assert!(said.err.contains("there is no command `none`"), "{}", said.err);
}
