//! The admin routes about faults, the same on both services.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Bugginess, Defect, Defects};
use crate::error::Error;
use crate::guard::{json as answer, refuse};

/// A service's fault dial.
pub(crate) trait Turned: Clone + Send + Sync + 'static {
    type Fault: Serialize + DeserializeOwned;

    fn add(&self, fault: Self::Fault) -> Result<(), Error>;
    fn set(&self, faults: Vec<Self::Fault>) -> Result<(), Error>;
    fn clear(&self) -> usize;
    fn waiting(&self) -> Vec<Self::Fault>;
    fn fired(&self) -> std::collections::BTreeMap<&'static str, u64>;
    fn bugginess(&self) -> Option<Bugginess>;
    fn set_bugginess(&self, bugginess: &Bugginess) -> Result<(), Error>;
}

/// `/admin/faults`, `/admin/bugginess` and `/admin/defects`.
pub(crate) fn routes<T: Turned>(faults: T, defects: Defects) -> Router {
    let faults = Router::new()
        .route("/admin/faults", get(show::<T>).post(add::<T>).put(set::<T>).delete(clear::<T>))
        .route("/admin/bugginess", get(show_chance::<T>).put(set_chance::<T>).delete(clear_chance::<T>))
        .with_state(faults);
    let defects = Router::new()
        .route("/admin/defects", get(show_defects).put(set_defects).delete(clear_defects))
        .route("/admin/defects/{name}", put(switch_on).delete(switch_off))
        .with_state(defects);
    faults.merge(defects)
}

fn shown<T: Turned>(faults: &T) -> Response {
    let shown = json!({"faults": faults.waiting(), "fired": faults.fired(), "bugginess": faults.bugginess()});
    answer(StatusCode::OK, &shown)
}

async fn show<T: Turned>(State(faults): State<T>) -> Response {
    shown(&faults)
}

/// One more; says how many wait.
async fn add<T: Turned>(State(faults): State<T>, body: Bytes) -> Response {
    let added = serde_json::from_slice(&body)
        .map_err(|error| error.to_string())
        .and_then(|fault| faults.add(fault).map_err(|error| error.to_string()));
    match added {
        Ok(()) => answer(StatusCode::OK, &json!({"faults": faults.waiting().len()})),
        Err(message) => refuse(&message),
    }
}

/// These instead of those that wait.
async fn set<T: Turned>(State(faults): State<T>, body: Bytes) -> Response {
    let set = serde_json::from_slice(&body)
        .map_err(|error| format!("the body is an array of faults: {error}"))
        .and_then(|wanted| faults.set(wanted).map_err(|error| error.to_string()));
    match set {
        Ok(()) => shown(&faults),
        Err(message) => refuse(&message),
    }
}

async fn clear<T: Turned>(State(faults): State<T>) -> Response {
    answer(StatusCode::OK, &json!({"cleared": faults.clear()}))
}

async fn show_chance<T: Turned>(State(faults): State<T>) -> Response {
    answer(StatusCode::OK, &json!({"bugginess": faults.bugginess()}))
}

async fn set_chance<T: Turned>(State(faults): State<T>, body: Bytes) -> Response {
    let set = serde_json::from_slice(&body)
        .map_err(|error| format!(r#"the body is {{"probability":0.01,"seed":1}}: {error}"#))
        .and_then(|wanted| faults.set_bugginess(&wanted).map_err(|error| error.to_string()));
    match set {
        Ok(()) => show_chance(State(faults)).await,
        Err(message) => refuse(&message),
    }
}

async fn clear_chance<T: Turned>(State(faults): State<T>) -> Response {
    // A probability of 0 is one.
    let _ = faults.set_bugginess(&Bugginess::new(0.0, 0));
    show_chance(State(faults)).await
}

/// Which defects are to be on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    on: Vec<Defect>,
}

async fn show_defects(State(defects): State<Defects>) -> Response {
    answer(StatusCode::OK, &json!({"on": defects.all(), "known": Defect::ALL}))
}

async fn set_defects(State(defects): State<Defects>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Wanted { on }) => {
            for defect in Defect::ALL {
                defects.set(defect, on.contains(&defect));
            }
            show_defects(State(defects)).await
        }
        Err(error) => refuse(&format!(r#"the body is {{"on":["lifo_queue"]}}: {error}"#)),
    }
}

async fn clear_defects(State(defects): State<Defects>) -> Response {
    for defect in Defect::ALL {
        defects.set(defect, false);
    }
    show_defects(State(defects)).await
}

async fn switch_on(State(defects): State<Defects>, Path(name): Path<String>) -> Response {
    switch(defects, &name, true).await
}

async fn switch_off(State(defects): State<Defects>, Path(name): Path<String>) -> Response {
    switch(defects, &name, false).await
}

async fn switch(defects: Defects, name: &str, on: bool) -> Response {
    match Defect::named(name) {
        Some(defect) => {
            defects.set(defect, on);
            show_defects(State(defects)).await
        }
        None => refuse(&format!("there is no defect {name:?}; GET /admin/defects lists them")),
    }
}
