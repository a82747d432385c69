//! URLs of webhook receivers: what passes the check leads to a public address and nowhere else.

use std::net::IpAddr;
use std::sync::Arc;

use kit::{Names, mutated_text};
use outbound::{Options, Outbound};
use proptest::prelude::*;
use shared::model::webhook::Receivers as _;

/// Public names, and every way to write an address that is none of the public's.
const CORPUS: [&str; 24] = [
    "https://public.example/hook?token=1",
    "https://public.example:8443/",
    "https://private.example/hook",
    "https://mixed.example/hook",
    "https://8.8.8.8/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://10.0.0.1:443/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2606:4700::1111]:444/",
    "https://user:password@public.example/",
];

/// Judged apart from the code under test, by what the addresses are for.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_local = v4.is_private() || v4.is_loopback() || v4.is_link_local();
            !(is_local || is_shared || v4.is_multicast() || a == 0 || a >= 240)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(v4.into()),
            None => (v6.segments()[0] & 0xe000) == 0x2000,
        },
    }
}

#[test]
fn what_passes_the_check_is_public_and_https() {
    let names = Names::default();
    names.set("public.example", &["8.8.8.8", "2606:4700::1111"]);
    names.set("private.example", &["10.0.0.1"]);
    names.set("mixed.example", &["8.8.8.8", "127.0.0.1"]);
    let outbound = Outbound::with_resolver(Arc::new(names), Options::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let corpus = CORPUS.map(str::to_owned).to_vec();
    let tried = super::runner("e2e/fuzz/corpus/urls.txt").run(&mutated_text(corpus), |url| {
        let text = String::from_utf8_lossy(&url.0);
        let checked = runtime.block_on(outbound.check(&text));
        let Ok(()) = checked else { return Ok(()) };
        let uri: http::Uri = text.parse().map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert!(uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")), "{text}");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(address) => prop_assert!(is_public(address), "{text}"),
            Err(_) => prop_assert_eq!(host.to_ascii_lowercase(), "public.example", "{}", text),
        }
        Ok(())
    });
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}
