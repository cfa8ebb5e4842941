//! Every form of every page is refused without our CSRF token.

use std::collections::BTreeSet;

use regex::Regex;

use crate::web::Site;

/// The routed paths of the pages.
pub fn routes(method: &str) -> BTreeSet<String> {
    let routed = include_str!("../../../web/mod.rs");
    let route = Regex::new(r#"(?s)\.route\(\s*"([^"]+)",(.*?)\)\s*(?:\.route|\.layer)"#).unwrap();
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(captures) = route.captures_at(routed, from) {
        if captures[2].contains(&format!("{method}(")) {
            found.insert(captures[1].to_owned());
        }
        // The next match begins where this one ended.
        from = captures.get(2).unwrap().end();
    }
    found
}

#[tokio::test]
async fn a_form_without_our_proof_does_nothing() {
    let mut forms = routes("post");
    // Mail programs post to it without a cookie: the token in the email authenticates.
    assert!(forms.remove("/mail/unsubscribe"));
    assert!(forms.len() > 15 && forms.contains("/profile") && forms.contains("/login"), "{forms:?}");
    let site = Site::start().await;
    site.sign_up("stranger@example.com").await;
    let another = site.get("/profile").await.hidden("csrf");
    site.forget_cookies();
    let before = site.get("/signup").await.hidden("csrf");
    site.sign_up("me@example.com").await;
    site.endpoint("shop", "http://127.0.0.1:1/").await;
    let mine = site.get("/profile").await.hidden("csrf");
    assert!(mine != another && mine != before);
    let empty = String::new();
    let cut = mine[..mine.len() - 1].to_owned();
    for path in &forms {
        let path = path.replace("{id}", "1").replace("{announcement}", "1");
        let fields = [
            ("act", "delete"),
            ("email", "me@example.com"),
            ("password", "a good password"),
            ("name", "taken"),
            ("url", "http://127.0.0.1:1/"),
            ("current_password", "a good password"),
            ("confirm", "shop"),
        ];
        for proof in [None, Some(&empty), Some(&another), Some(&before), Some(&cut)] {
            let mut form = fields.to_vec();
            form.extend(proof.map(|proof| ("csrf", proof.as_str())));
            assert_eq!(site.send(&path, &[], &form).await.status, 403, "{path} with {proof:?}");
        }
        let mut form = fields.to_vec();
        form.push(("csrf", &mine));
        for site_of in ["cross-site", "same-site"] {
            let sent = site.send(&path, &[("sec-fetch-site", site_of)], &form).await;
            assert_eq!(sent.status, 403, "{path} from {site_of}");
        }
        // In the query, or in a form that a foreign page can send without a preflight.
        let query = format!("{path}?csrf={mine}");
        assert_eq!(site.send(&query, &[], &fields).await.status, 403, "{query}");
        let plain = [("content-type", "text/plain")];
        let body = format!("csrf={another}&act=delete");
        assert_eq!(site.ask(http::Method::POST, &path, &plain, body).await.status, 403, "{path}");
    }
    site.get("/dashboard").await.says("shop");
    assert_eq!(site.get("/profile").await.status, 200);
}

/// Over HTTPS no other host of the domain, and no attacker in between, can set or overwrite our cookies.
#[tokio::test]
async fn cookies_are_of_this_host_alone() {
    let site = Site::with([("PUBLIC_URL", "https://pongpong.test")]).await;
    let csrf = site.get("/signup").await.hidden("csrf");
    let form = [("csrf", csrf.as_str()), ("email", "me@example.com"), ("password", "a good password")];
    let shown = site.send("/signup", &[], &form).await;
    assert_eq!(shown.status, 303, "{}", shown.html);
    let out = site.post("/dashboard", "/logout", &[]).await;
    for (shown, name) in [(&shown, "__Host-pongpong_key"), (&out, "__Host-pongpong_key")] {
        let set: Vec<_> = shown.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
        let key = set.iter().find(|cookie| cookie.starts_with(name)).unwrap_or_else(|| panic!("{set:?}"));
        // Browsers require these attributes for such a name, also when the cookie is deleted.
        assert!(key.contains("; Secure") && key.contains("; Path=/") && !key.contains("Domain"), "{key}");
    }
    assert!(site.cookie("pongpong_key").is_none());
}
