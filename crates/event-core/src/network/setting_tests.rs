//! The rules of the environment as tables.

use super::{Proxy, ProxySetting};

/// What leads to a server, by its URL without a path.
fn way(setting: &ProxySetting, url: &str) -> String {
    let (scheme, place) = url.split_once("://").unwrap();
    let tls = matches!(scheme, "https" | "wss");
    let (host, port) = super::proxy::split(place).unwrap();
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    match setting.choose(host, port, tls) {
        Ok(None) => "direct".to_owned(),
        Ok(Some(proxy)) => proxy.host().to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn environment(variables: &[(&str, &str)]) -> ProxySetting {
    ProxySetting::from_lookup(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn each_variable_is_for_its_kind_of_server() {
    let all = &[("HTTPS_PROXY", "http://s"), ("HTTP_PROXY", "http://p"), ("ALL_PROXY", "socks5://a")];
    for (variables, with_tls, without) in [
        (&[][..], "direct", "direct"),
        (&all[..1], "s", "direct"),
        (&all[1..2], "direct", "p"),
        (&all[2..], "a", "a"),
        (all, "s", "p"),
        (&[all[0], all[2]], "s", "a"),
        (&[("https_proxy", "low"), ("HTTPS_PROXY", "up")], "low", "direct"),
        (&[("http_proxy", "low"), ("HTTP_PROXY", "up")], "direct", "low"),
        (&[("all_proxy", "low"), ("ALL_PROXY", "up")], "low", "low"),
        // Empty is not set.
        (&[("https_proxy", ""), ("HTTPS_PROXY", " "), ("ALL_PROXY", "a")], "a", "a"),
        // A CGI program gets a header of its client as HTTP_PROXY.
        (&[("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")], "direct", "direct"),
        (&[("http_proxy", "p"), ("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")], "direct", "p"),
        (&[("HTTPS_PROXY", "s"), ("ALL_PROXY", "a"), ("REQUEST_METHOD", "GET")], "s", "a"),
    ] {
        let setting = environment(variables);
        for (scheme, expected) in [("https", with_tls), ("wss", with_tls), ("http", without), ("ws", without)]
        {
            assert_eq!(way(&setting, &format!("{scheme}://hub.example")), expected, "{scheme} {variables:?}");
        }
    }
}

#[test]
fn a_list_says_which_servers_are_reached_directly() {
    for (list, direct, proxied) in [
        ("", &[][..], &["hub.example", "10.0.0.1"][..]),
        ("*", &["hub.example", "10.0.0.1", "[::2]", "hub.example:1"], &[]),
        (
            "hub.example",
            &["hub.example", "HUB.example.", "a.b.hub.example", "hub.example:1"],
            &["xhub.example"],
        ),
        (".hub.example", &["hub.example", "a.hub.example"], &["xhub.example", "example"]),
        ("*.hub.example", &["hub.example", "a.hub.example"], &["xhub.example"]),
        ("HUB.Example.", &["hub.example", "a.hub.example"], &["hub.example.org"]),
        ("hub.example:8443", &["hub.example:8443", "a.hub.example:8443"], &["hub.example", "hub.example:84"]),
        (
            "a.example, b.example\tc.example  d.example",
            &["a.example", "b.example", "c.example", "d.example"],
            &[],
        ),
        ("10.1.2.3", &["10.1.2.3"], &["10.1.2.4", "110.1.2.3", "x.10.1.2.3.example"]),
        ("10.1.2.3:81", &["10.1.2.3:81"], &["10.1.2.3"]),
        (
            "10.0.0.0/8,192.168.3.0/31",
            &["10.255.0.1", "192.168.3.1"],
            &["11.0.0.1", "192.168.3.2", "10.example"],
        ),
        ("0.0.0.0/0", &["1.2.3.4"], &["hub.example", "[2001:db8::1]"]),
        ("10.1.2.3/32", &["10.1.2.3", "[::ffff:10.1.2.3]"], &["10.1.2.2"]),
        (
            "2001:db8::1,[2001:db8::2]:81",
            &["[2001:db8::1]", "[2001:db8::2]:81"],
            &["[2001:db8::2]", "[2001:db8::3]"],
        ),
        ("2001:db8::/32", &["[2001:db8:ffff::1]"], &["[2001:db9::1]", "1.2.3.4"]),
        ("::/0", &["[2001:db8::1]"], &["1.2.3.4"]),
        // What makes no sense matches nothing, and spoils nothing.
        (
            "10.0.0.0/33,/,:,.,*x*,10.0.0.0/x,[,h:0,good.example",
            &["good.example"],
            &["10.0.0.0", "hub.example", "h"],
        ),
    ] {
        let setting = environment(&[("ALL_PROXY", "proxy"), ("NO_PROXY", list)]);
        let given = ProxySetting::through(Proxy::parse("proxy").unwrap()).except(list);
        for (places, expected) in [(direct, "direct"), (proxied, "proxy")] {
            for place in places {
                for scheme in ["http", "https"] {
                    let url = format!("{scheme}://{place}");
                    assert_eq!(way(&setting, &url), expected, "{list}: {url}");
                    assert_eq!(way(&given, &url), expected, "{list}: {url}");
                }
            }
        }
    }
    let both = environment(&[("ALL_PROXY", "proxy"), ("no_proxy", "a.example"), ("NO_PROXY", "b.example")]);
    assert_eq!(
        (way(&both, "http://a.example"), way(&both, "http://b.example")),
        ("direct".into(), "proxy".into())
    );
}

#[test]
fn this_machine_is_spared_by_the_environment_and_not_by_a_given_proxy() {
    let environment = environment(&[("ALL_PROXY", "proxy")]);
    let given = ProxySetting::from(Proxy::parse("proxy").unwrap());
    for place in [
        "localhost",
        "LOCALHOST.:81",
        "x.localhost",
        "127.0.0.1",
        "127.9.9.9:1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        for scheme in ["http", "wss"] {
            let url = format!("{scheme}://{place}");
            assert_eq!(
                (way(&environment, &url), way(&given, &url)),
                ("direct".into(), "proxy".into()),
                "{url}"
            );
            assert_eq!(way(&ProxySetting::direct(), &url), "direct");
        }
    }
    for place in ["localhost.example", "128.0.0.1", "xlocalhost", "[::2]"] {
        assert_eq!(way(&environment, &format!("http://{place}")), "proxy", "{place}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_an_error_where_it_would_be_used() {
    let setting = environment(&[("https_proxy", "socks4://u:marked-4711@h"), ("NO_PROXY", "spared.example")]);
    let error = way(&setting, "https://hub.example");
    assert!(error.contains("https_proxy") && error.contains("scheme"), "{error}");
    assert!(!format!("{error} {setting:?}").contains("4711"), "{setting:?}");
    for url in ["https://spared.example", "https://localhost", "http://hub.example"] {
        assert_eq!(way(&setting, url), "direct", "{url}");
    }
}
