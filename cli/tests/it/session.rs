//! Log-in, and the saved contexts and keys.

use std::os::unix::fs::PermissionsExt;

use crate::world::{PASSWORD, World, pong, run};

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_in_and_out() {
    let world = World::empty().await;
    world.says("whoami").await.fails(4, &["error: you are not logged in", "hint: pong login"]);
    world.signup("me@example.com").await;
    let me = world.json("whoami").await;
    assert_eq!((&me["email"], &me["api_url"]), (&"me@example.com".into(), &world.url.as_str().into()));

    let file = world.path("config/pong/config.yaml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let config = std::fs::read_to_string(&file).unwrap();
    let key = config.lines().find_map(|line| line.trim().strip_prefix("key: ")).unwrap().to_owned();

    assert!(world.does("logout").await.contains("Logged out"));
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&key));
    world.says("whoami").await.fails(4, &["you are not logged in"]);
    world.says("logout").await.fails(4, &["nobody is logged in"]);
    let mut ended = world.pong(["whoami"]);
    ended.env("PONG_API_KEY", &key);
    run(ended, "").await.fails(4, &["does not accept the key", "Log in again"]);

    let login = |password: &'static str| {
        run(world.pong(["login", "--email", "me@example.com", "--password-stdin"]), password)
    };
    login("another password").await.fails(4, &["hint: Check the e-mail address and the password"]);
    assert!(login(PASSWORD).await.does().contains("Logged in as me@example.com"));
    assert_eq!(world.json("whoami").await["email"], "me@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_new_account_is_told_by_field() {
    let world = World::empty().await;
    let signup = world.pong(["signup", "--email", "nobody", "--password-stdin"]);
    run(signup, "short").await.fails(2, &["  email: ", "  password: "]);
    let nobody = world.pong(["login"]);
    run(nobody, "").await.fails(2, &["--email"]);
    world.says("login --email me@example.com").await.fails(2, &["--password-stdin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_from_the_environment_or_kept() {
    let world = World::new().await;
    let key = world.does("key add laptop").await.trim().to_owned();
    assert!(key.starts_with("pp_"), "{key}");
    let keys = world.json("key list").await;
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["name"]), (1, &"laptop".into()));

    let home = world.path("elsewhere");
    let mut me = pong(&home);
    me.args(["whoami", "--api-url", &world.url]).env("PONG_API_KEY", &key);
    assert!(run(me, "").await.does().contains("me@example.com"));
    assert!(!home.exists(), "nothing is kept");
    let mut login = pong(&home);
    login.args(["login", "--key-stdin", "--api-url", &world.url]);
    assert!(run(login, &key).await.does().contains("me@example.com"));
    let mut me = pong(&home);
    me.arg("whoami");
    assert!(run(me, "").await.does().contains("me@example.com"));

    assert_eq!(world.does("key add other").await.lines().count(), 1);
    let id = world
        .json("key list")
        .await
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "other")
        .unwrap()["id"]
        .clone();
    world.does(&format!("key rm {id} --yes")).await;
    world.says("key rm laptop").await.fails(2, &["--yes"]);
    world.does("key rm laptop --yes").await;
    let mut me = pong(&home);
    me.arg("whoami");
    run(me, "").await.fails(4, &["does not accept the key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_several_contexts() {
    let world = World::new().await;
    let other =
        world.pong(["signup", "--context", "work", "--email", "work@example.com", "--password-stdin"]);
    run(other, PASSWORD).await.does();
    assert_eq!(world.json("whoami").await["email"], "work@example.com");
    assert_eq!(world.json("whoami --context default").await["email"], "me@example.com");
    world.does("context use default").await;
    let list = world.json("context list").await;
    assert_eq!((&list[0]["current"], &list[0]["name"]), (&"*".into(), &"default".into()));
    assert_eq!((&list[1]["current"], &list[1]["email"]), (&"".into(), &"work@example.com".into()));
    world.says("context use nothing").await.fails(6, &["there is no context `nothing`"]);
    world.says("whoami --context nothing").await.fails(2, &["there is no context `nothing`"]);
    world.does("context rm work").await;
    assert_eq!(world.json("context list").await.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_nowhere_but_to_where_it_came_from() {
    let (world, another) = (World::new().await, World::empty().await);
    let mut elsewhere = world.pong(["endpoint", "list"]);
    elsewhere.env("PONG_API_URL", &another.url);
    run(elsewhere, "").await.fails(4, &["you are logged in at", "pong login --api-url"]);
    let signup = |more: &[&str]| {
        let mut command = world.pong(["signup", "--email", "me@example.com", "--password-stdin"]);
        command.env("PONG_API_URL", &another.url).args(more);
        run(command, PASSWORD)
    };
    signup(&[]).await.fails(2, &["context default is logged in at", "--context NAME"]);
    signup(&["--context", "another"]).await.does();
    assert_eq!(world.json("whoami --context default").await["api_url"], world.url.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_named() {
    let world = World::new().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut down = world.pong(["endpoint", "list"]);
    down.env("PONG_API_URL", format!("http://{nobody}")).env("PONG_API_KEY", "some");
    run(down, "").await.fails(1, &[&format!("http://{nobody} does not answer"), "hint: Is it running?"]);
    let mut no_url = world.pong(["endpoint", "list"]);
    no_url.env("PONG_API_URL", "localhost:8000").env("PONG_API_KEY", "some");
    run(no_url, "").await.fails(2, &["is not the URL of an API"]);
    // This URL serves pages, not the API.
    let mut pages = world.pong(["endpoint", "list"]);
    pages.env("PONG_API_URL", format!("{}/status", world.url)).env("PONG_API_KEY", "some");
    run(pages, "").await.fails(7, &["does not know this operation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_can_read_is_warned_of_and_a_broken_one_named() {
    let world = World::new().await;
    let file = world.path("config/pong/config.yaml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(world.says("whoami").await.err.contains("others can read"));
    std::fs::write(&file, "contexts: 7").unwrap();
    world.says("whoami").await.fails(1, &["config.yaml: contexts", "pong login"]);
}
