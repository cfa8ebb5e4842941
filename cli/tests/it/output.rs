//! Output for programs and people: formats, colours, pipes, help.

use std::process::Stdio;

use crate::world::{World, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_four_formats() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Shop --tags a,b --paused").await;
    let table = world.does("endpoint list").await;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("ID  NAME  STATUS  LAST CHECK"), "{table}");
    assert!(
        lines[1].starts_with("1   Shop  paused") && lines[1].ends_with("a, b  Paused: it is not checked."),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colours into a pipe");

    let csv = world.does("endpoint list --output csv").await;
    let mut rows = csv.lines();
    assert!(
        rows.next().unwrap().starts_with("id,name,status,last_checked_at,interval_seconds,kind,url,tags"),
        "{csv}"
    );
    assert!(
        rows.next().unwrap().starts_with(r#"1,Shop,paused,,60,http,https://example.com/,"[""a"",""b""]","#),
        "{csv}"
    );
    let json = world.json("endpoint list").await;
    let yaml: serde_json::Value =
        serde_norway::from_str(&world.does("endpoint list --output yaml").await).unwrap();
    assert_eq!((&json, json[0]["tags"][1].as_str()), (&yaml, Some("b")));

    let shown = world.does("endpoint show Shop").await;
    let lines: Vec<_> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"name Shop".to_owned()) && lines.contains(&"tags a, b".to_owned()), "{shown}");
    assert!(world.does("endpoint show Shop --output csv").await.starts_with("id,name,url,"));
    assert_eq!(world.json("notification list").await, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_those_who_want_them() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Shop --paused").await;
    let coloured = |set: &[(&str, &str)], line: &'static [&str]| {
        let mut command = world.pong(line);
        command.envs(set.iter().copied());
        run(command, "")
    };
    let list: &[&str] = &["endpoint", "list"];
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], list).await.out.contains("\u{1b}["));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], list).await.out.contains('\u{1b}'));
    let wrong: &[&str] = &["endpoint", "show", "nothing"];
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], wrong).await.err.contains("\u{1b}[31merror:"));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], wrong).await.err.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_is_no_error() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Shop --paused").await;
    for format in ["table", "json", "yaml", "csv"] {
        for command in [
            ["endpoint", "list"].as_slice(),
            &["endpoint", "show", "Shop"],
            &["export"],
            &["man"],
            &["completion", "bash"],
        ] {
            let mut command = world.pong(command);
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.args(["--output", format]).stdout(Stdio::from(writer));
            let ran = run(command, "").await;
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_completion_and_manual_tell_the_exit_codes() {
    let world = World::empty().await;
    assert!(world.does("--help").await.contains("3    what was checked is down"));
    let page = world.does("man").await;
    assert!(
        page.contains(".TH pong 1")
            && page.contains("EXIT STATUS")
            && page.contains("what was checked is down"),
        "{page}"
    );
    let folder = world.path("man");
    world.does(&format!("man --dir {}", folder.display())).await;
    assert!(folder.join("pong-endpoint-add.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.does(&format!("completion {shell}")).await.contains("status-page"), "{shell}");
    }
    world.says("nonsense").await.fails(2, &["unrecognized subcommand"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_needs_a_terminal() {
    let world = World::new().await;
    world.says("watch").await.fails(2, &["this is none", "pong endpoint list --output json"]);
}
