//! Whether the time that a webhook's signature takes to judge tells how far it is right.
//!
//! ```sh
//! cargo bench -p imodelhub-events --features webhooks --bench signature
//! ```
//!
//! The same body is judged with signatures that are right, wrong in the first byte, wrong in the last, and wrong
//! everywhere, in an order that chance chooses, so that whatever else the machine does hits all alike. For each wrong kind
//! it prints how its mean differs from that of the right one, and Welch's t of that: beyond 4.5 either way, times would be
//! told apart. What comes after the judgement (reading the JSON, or refusing) is not measured: it tells only what the
//! status says, too. `SAMPLES` says how many of each, 200,000 if it is not set.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::time::Instant;

use http::HeaderMap;
use imodelhub_events::webhooks::{SIGNATURE, SigningKeys};

const KINDS: [&str; 4] = ["right", "wrong in the first byte", "wrong in the last byte", "wrong everywhere"];

fn main() {
    // `cargo bench` gives it; `cargo test --benches` does not.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!(
            "a benchmark: run it with `cargo bench -p imodelhub-events --features webhooks --bench signature`"
        );
        return;
    }
    let samples: usize = std::env::var("SAMPLES").map_or(200_000, |text| text.parse().unwrap());
    let keys = SigningKeys::new(["a secret of at least 32 characters, as text"]).unwrap();
    let body = format!("{{\"content\":{{\"imodelId\":\"{}\"}}}}", "x".repeat(400));
    let values = signatures(&keys, body.as_bytes());
    let mut times: [Vec<f64>; 4] = Default::default();
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    // The first ones warm up.
    for n in 0..samples * KINDS.len() + 4_000 {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let kind = (dice >> 33) as usize % KINDS.len();
        // Made anew, so that none lies better than another.
        let headers = HeaderMap::from_iter([(SIGNATURE, values[kind].parse().unwrap())]);
        let begun = Instant::now();
        let judged = black_box(&keys).verify(black_box(&headers), black_box(body.as_bytes()));
        let lasted = begun.elapsed().as_nanos() as f64;
        assert_eq!(judged.is_ok(), kind == 0);
        if n >= 4_000 {
            times[kind].push(lasted);
        }
    }
    report(&mut times);
}

fn signatures(keys: &SigningKeys, body: &[u8]) -> [String; 4] {
    let right = keys.sign(body);
    let flip = |at: std::ops::Range<usize>| {
        let mut signature = right.clone().into_bytes();
        for digit in &mut signature[at] {
            // Another digit, and all of them as often as before.
            *digit = b"1032547698badcfe"[char::from(*digit).to_digit(16).unwrap() as usize];
        }
        String::from_utf8(signature).unwrap()
    };
    [right.clone(), flip(7..9), flip(69..71), flip(7..71)]
}

fn report(times: &mut [Vec<f64>; 4]) {
    // What the machine did meanwhile is cut off, at one height for all.
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    let most = all[all.len() * 99 / 100];
    let moments: Vec<(f64, f64, f64)> = times
        .iter()
        .map(|times| {
            let kept: Vec<f64> = times.iter().copied().filter(|time| *time <= most).collect();
            let count = kept.len() as f64;
            let mean = kept.iter().sum::<f64>() / count;
            let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
            (count, mean, variance)
        })
        .collect();
    let (right_count, right_mean, right_variance) = moments[0];
    println!("| signature | judged | median ns | mean ns | differs by ns | Welch's t |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (kind, (name, (count, mean, variance))) in KINDS.iter().zip(&moments).enumerate() {
        times[kind].sort_unstable_by(f64::total_cmp);
        let median = times[kind][times[kind].len() / 2];
        let t = (mean - right_mean) / (variance / count + right_variance / right_count).sqrt();
        println!(
            "| {name} | {} | {median:.0} | {mean:.1} | {:+.2} | {t:+.2} |",
            times[kind].len(),
            mean - right_mean
        );
    }
}
