//! The iModelHub side: a whole life with tokens that are renewed, everything that is refused, every fault of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hub_emulator::Emulator;
use hub_emulator::imodelhub::{Action, Fault};
use imodelhub_events::{
    AccessToken, AccessTokenProvider, Environment, EventType, HubEvent, IModelHubClient, IModelId, Result,
    Secret,
};

use super::Shown;
use crate::figures::{Broken, ensure};
use crate::marks::marked;
use crate::scenes::stage::broken;

const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const WITHIN: Duration = Duration::from_secs(20);
const TYPES: [EventType; 1] = [EventType::Version];

/// Another marked token each time.
#[derive(Debug, Default)]
struct Tokens {
    given: AtomicUsize,
}

#[async_trait]
impl AccessTokenProvider for Tokens {
    async fn access_token(&self, _refused: bool) -> Result<AccessToken> {
        let n = self.given.fetch_add(1, Ordering::Relaxed);
        Ok(AccessToken::bearer(marked(&format!("jwt-{n}"))))
    }
}

/// Gives the SAS tokens that were used, and their signatures.
pub(super) async fn play(shown: &mut Shown) -> Result<Vec<String>, Broken> {
    let emulator = Emulator::builder()
        .without_ftrack()
        .basic_login("ann", &Secret::new(marked("password")))
        .lock_duration(Duration::from_secs(2))
        .sas_lifetime(Duration::from_secs(3))
        .captures(100_000)
        .start()
        .await
        .map_err(broken("start the emulator"))?;
    for n in 0..1_000 {
        emulator.accept_token(marked(&format!("jwt-{n}")));
    }
    shown.debug(&emulator);
    life(shown, &emulator).await?;
    refused(shown, &emulator).await;
    faults(shown, &emulator).await?;
    sas_tokens(&emulator)
}

fn client(emulator: &Emulator, provider: impl AccessTokenProvider) -> Result<IModelHubClient, Broken> {
    IModelHubClient::builder(Environment::Url(emulator.imodelhub_url()), provider)
        .request_timeout(Duration::from_millis(500))
        .long_poll(Duration::from_secs(1))
        .build()
        .map_err(broken("build a client"))
}

/// Subscribe, read, listen, be refused, renew, go.
async fn life(shown: &mut Shown, emulator: &Emulator) -> Result<(), Broken> {
    let builder = IModelHubClient::builder(
        Environment::Url(emulator.imodelhub_url()),
        AccessToken::bearer(marked("jwt")),
    );
    shown.debug(&builder);
    shown.debug(&AccessToken::basic("ann", marked("password")));
    let client = client(emulator, Tokens::default())?;
    let imodel = IModelId::new(IMODEL).map_err(broken("name the iModel"))?;
    let subscription = client.create_subscription(&imodel, &TYPES).await.map_err(broken("subscribe"))?;
    let sas = client.get_sas_token(&imodel).await.map_err(broken("get a token"))?;
    shown.debug(&client);
    shown.debug(&subscription);
    shown.debug(&sas);
    shown.debug(&client.create_listener(&subscription));
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    shown.debug(&client.peek_event(&subscription, None).await.map_err(broken("peek"))?);
    shown.debug(&client.get_event(&subscription, None).await.map_err(broken("read"))?);

    let handled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&handled);
    let listener = client
        .create_listener(&subscription)
        .recreate_expired(true)
        .handle(move |_: HubEvent| {
            counting.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .await
        .map_err(broken("listen"))?;
    // SAS tokens are refused, renewed in time, and access tokens are refused.
    for step in [Emulator::expire_sas, Emulator::revoke_tokens, Emulator::expire_sas] {
        step(emulator);
        let completed = emulator.imodelhub_stats().completed;
        for n in 0..1_000 {
            emulator.accept_token(marked(&format!("jwt-{n}")));
        }
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
        let done = emulator.wait_for_imodelhub(|state| state.stats.completed > completed);
        tokio::time::timeout(WITHIN, done)
            .await
            .map_err(|_| Broken::new(format!("the listener stands at {:?}", listener.state())))?;
        shown.debug(&listener);
        shown.debug(&listener.state());
    }
    ensure(handled.load(Ordering::Relaxed) > 0, || "the listener handled nothing".to_owned())?;
    drop(listener);
    shown.outcome(client.delete_subscription(&subscription).await);
    shown.outcome(client.get_event(&subscription, None).await);
    Ok(())
}

/// Whatever cannot be built or is refused.
async fn refused(shown: &mut Shown, emulator: &Emulator) {
    let (url, secret) = (emulator.imodelhub_url(), marked("jwt"));
    let Ok(imodel) = IModelId::new(IMODEL) else { return };
    for (url, token) in [
        (url.clone(), AccessToken::bearer(marked("wrong"))),
        (url.clone(), AccessToken::basic("ann", marked("wrong"))),
        (url.clone(), AccessToken::basic("ann", marked("password"))),
        (url.clone(), AccessToken::bearer(format!("{secret}\n"))),
        (url.replace("http://", "https://"), AccessToken::bearer(secret.clone())),
        ("http://127.0.0.1:1".to_owned(), AccessToken::bearer(secret.clone())),
        (format!("http://ann:{secret}@127.0.0.1"), AccessToken::bearer(secret.clone())),
        (format!("http://127.0.0.1/?token={secret}"), AccessToken::bearer(secret.clone())),
        (format!("ftp://{secret}"), AccessToken::bearer(secret)),
    ] {
        shown.debug(&token);
        let builder = IModelHubClient::builder(Environment::Url(url), token);
        let Some(client) = shown.outcome(builder.request_timeout(Duration::from_millis(300)).build()) else {
            continue;
        };
        shown.debug(&client);
        shown.outcome(client.create_subscription(&imodel, &TYPES).await);
        shown.outcome(client.get_sas_token(&imodel).await);
        shown.outcome(client.get_global_sas_token().await);
    }
}

/// Every fault, at calls of the service and at polls.
async fn faults(shown: &mut Shown, emulator: &Emulator) -> Result<(), Broken> {
    let imodel = IModelId::new(IMODEL).map_err(broken("name the iModel"))?;
    let mut actions = vec![
        Action::Refuse,
        Action::Reset,
        Action::ResetWaiting { after_ms: 10 },
        Action::UnauthorizedWaiting { after_ms: 10 },
        Action::ResetAfterDequeue,
        Action::Hang,
        Action::TruncateBody,
        Action::CutBody,
        Action::ResetBody,
        Action::GarbageBody,
        Action::BracelessBody,
        Action::EmptyBody,
        Action::ContentType { value: None },
        Action::RevokeToken,
        Action::ExpireSubscription,
    ];
    actions.extend([400, 401, 403, 404, 409, 410, 429, 500, 503].map(|status| Action::Status {
        status,
        headers: [("WWW-Authenticate".to_owned(), marked("challenge"))].into(),
        body: marked("body"),
    }));
    for action in actions {
        let client = client(emulator, Tokens::default())?;
        for n in 0..4 {
            emulator.accept_token(marked(&format!("jwt-{n}")));
        }
        let subscription = client.create_subscription(&imodel, &TYPES).await.map_err(broken("subscribe"))?;
        client.get_sas_token(&imodel).await.map_err(broken("get a token"))?;
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
        // A poll that hangs is given up by the same means as a call, only later.
        if action != Action::Hang {
            emulator.add_fault(Fault::new(action.clone()).path("head")).map_err(broken("add"))?;
        }
        shown.outcome(client.get_event(&subscription, None).await);
        shown.outcome(client.peek_event(&subscription, None).await);
        emulator.clear_faults();
        emulator.add_fault(Fault::new(action).times(2)).map_err(broken("add"))?;
        shown.outcome(client.get_sas_token(&imodel).await);
        shown.outcome(client.create_subscription(&imodel, &TYPES).await);
        shown.debug(&client);
        emulator.clear_faults();
        shown.outcome(client.delete_subscription(&subscription).await);
    }
    Ok(())
}

/// Every SAS token that was sent to a queue, whole and by its signature.
fn sas_tokens(emulator: &Emulator) -> Result<Vec<String>, Broken> {
    let mut secrets: Vec<String> = Vec::new();
    for record in emulator.imodelhub_captures() {
        let Some(headers) = record["request"]["headers"].as_object() else { continue };
        let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let Some(token) = header.and_then(|(_, value)| value.as_str()) else { continue };
        let Some(signature) = token.split('&').find_map(|part| part.strip_prefix("sig=")) else { continue };
        if !secrets.iter().any(|known| known == token) {
            secrets.push(token.to_owned());
            secrets.push(signature.to_owned());
        }
    }
    ensure(secrets.len() >= 6, || format!("only {} SAS tokens were used", secrets.len() / 2))?;
    Ok(secrets)
}
