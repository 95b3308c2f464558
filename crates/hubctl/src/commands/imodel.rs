//! `hubctl imodel`: the queues of iModelHub.

use std::time::Duration;

use ftrack_hub::{Event, Secret};
use imodelhub_events::{
    AccessToken, Environment, EventSubscription, EventType, HubEvent, IModelHubClient, IModelId, ReceiveMode,
};

use crate::exit::{Exit, Failure, Result};
use crate::output::{Format, Output, Writer, now};
use crate::signals;

/// Subscriptions of an iModel, and their queues.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create a subscription and print its id
    Subscribe {
        /// Types of events, such as `VersionEvent`
        #[arg(required = true, value_name = "TYPE")]
        types: Vec<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Take the next event off the queue
    Get {
        /// Id of the subscription
        #[arg(value_name = "ID")]
        subscription: String,
        /// How long to wait for one, in whole seconds
        #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
        timeout: Option<Duration>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        service: Service,
    },
    /// Show events as they come, each completed when it was written
    Listen {
        /// Id of the subscription
        #[arg(value_name = "ID")]
        subscription: String,
        /// End after so many events
        #[arg(long, short = 'n', value_name = "N")]
        count: Option<u64>,
        /// Take events off the queue at once, instead of under a lock
        #[arg(long)]
        destructive: bool,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        service: Service,
    },
    /// Delete a subscription and its queue
    Unsubscribe {
        /// Id of the subscription
        #[arg(value_name = "ID")]
        subscription: String,
        #[command(flatten)]
        service: Service,
    },
}

/// Which service and iModel.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct Service {
    /// Address of the service. Default: Bentley's
    #[arg(long, env = "IMODELHUB_URL", value_name = "URL")]
    url: Option<String>,
    /// The iModel
    #[arg(long, env = "IMODEL_ID", value_name = "GUID")]
    imodel: String,
}

impl Service {
    fn client(&self) -> Result<(IModelHubClient, IModelId)> {
        let imodel = IModelId::new(&self.imodel)?;
        let token = std::env::var("IMODELHUB_TOKEN").ok().filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Failure::usage("no access token: set IMODELHUB_TOKEN"))?;
        let environment = self.url.clone().map_or(Environment::Production, Environment::Url);
        let client =
            IModelHubClient::builder(environment, AccessToken::bearer(Secret::new(token))).build()?;
        Ok((client, imodel))
    }
}

pub(crate) async fn run(command: Command) -> Result {
    match command {
        Command::Subscribe { types, service } => {
            let (client, imodel) = service.client()?;
            let types: Vec<EventType> = types.iter().map(|name| EventType::from(name.as_str())).collect();
            let subscription = client.create_subscription(&imodel, &types).await?;
            said(&subscription.id)
        }
        Command::Get { subscription, timeout, output, service } => {
            let (client, imodel) = service.client()?;
            let subscription = EventSubscription::existing(&imodel, subscription);
            let event = client.get_event(&subscription, timeout).await?;
            let event = event.ok_or_else(|| Failure::new(Exit::Timeout, "the queue is empty"))?;
            let mut out = Writer::stdout(output.format());
            write(&mut out, &event, output.format())
        }
        Command::Listen { subscription, count, destructive, output, service } => {
            let (client, imodel) = service.client()?;
            let subscription = EventSubscription::existing(&imodel, subscription);
            let mode = if destructive { ReceiveMode::ReceiveAndDelete } else { ReceiveMode::PeekLock };
            listen(&client, &subscription, count, mode, output.format()).await
        }
        Command::Unsubscribe { subscription, service } => {
            let (client, imodel) = service.client()?;
            client.delete_subscription(&EventSubscription::existing(&imodel, subscription.clone())).await?;
            said(&format!("deleted {subscription}"))
        }
    }
}

async fn listen(
    client: &IModelHubClient,
    subscription: &EventSubscription,
    count: Option<u64>,
    mode: ReceiveMode,
    format: Format,
) -> Result {
    let mut events = client.create_listener(subscription).mode(mode).stream().await?;
    let mut out = Writer::stdout(format);
    let end = signals::end();
    tokio::pin!(end);
    let mut seen = 0;
    while count.is_none_or(|count| seen < count) {
        let next = tokio::select! {
            next = events.next() => next,
            () = &mut end => None,
        };
        let Some(listened) = next.transpose()? else { break };
        write(&mut out, listened.event(), format)?;
        // Not before this is it completed.
        listened.ack();
        seen += 1;
    }
    drop(events);
    // The last events are still being completed.
    client.drain(Duration::from_secs(5)).await;
    Ok(())
}

fn write(out: &mut Writer, event: &HubEvent, format: Format) -> Result {
    let raw: &Event = event.raw();
    if format == Format::Json {
        let line = serde_json::json!({
            "type": event.event_type(), "messageId": event.message_id(), "body": event.body(),
        });
        out.text(&line.to_string())?;
    } else {
        out.event(raw, now)?;
    }
    out.flush()
}

fn said(text: &str) -> Result {
    let mut out = Writer::stdout(Format::Line);
    out.text(&crate::text::plain(text))?;
    out.flush()
}
