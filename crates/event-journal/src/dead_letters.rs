//! What was given up: read, taken out of its box, tried again.

use event_core::{Error, ErrorKind, Result};

use crate::config::millis;
use crate::journal::Journal;
use crate::letters::Letter;
use crate::record::Draft;
use crate::store::{Op, Outgoing};

impl Journal {
    /// The dead letters of a durable consumer, oldest first.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn dead_letters(&self, consumer: &str) -> Result<Vec<Letter>> {
        let consumer = consumer.to_owned();
        Ok(self.read(move |file| file.letters(&consumer)).await?)
    }

    /// What was to be published and was given up: it expired, or the service refused it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn unsent(&self) -> Result<Vec<Letter>> {
        self.dead_letters("").await
    }

    /// Takes a dead letter out of its box. `None` when it is not there. The box of [unsent](Journal::unsent) publishes
    /// has the empty name.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn discard(&self, consumer: &str, sequence: u64) -> Result<Option<Letter>> {
        let consumer = consumer.to_owned();
        self.ask(|reply| Op::Discard { consumer, sequence, reply }).await
    }

    /// Delivers a dead letter again, to its consumer alone, as a new record at the end. `false` when it is not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for the empty name, which no consumer has: publishes are [sent
    /// again](Journal::resend). Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future can have it delivered again and kept as well.
    pub async fn redeliver(&self, consumer: &str, sequence: u64) -> Result<bool> {
        if consumer.is_empty() {
            let message =
                "no consumer has the empty name; publishes that were given up are sent again by resend";
            return Err(Error::new(ErrorKind::InvalidInput, "redeliver", message));
        }
        let Some(letter) = self.letter(consumer, sequence).await? else { return Ok(false) };
        let draft = Draft {
            received: self.0.config.now(),
            event: letter.event.to_json(),
            is_gap: false,
            to: Some(consumer.into()),
            exact: true,
        };
        // First the new, then the old: rather twice than not at all.
        self.ask(|reply| Op::Append { draft, event: letter.event, id: None, reply }).await?;
        self.discard(consumer, sequence).await?;
        Ok(true)
    }

    /// Puts a publish that was given up among [`Journal::unsent`] back into the outbox, behind all others, for as long
    /// as [`Config::outbox_expiry`](crate::Config::outbox_expiry) says. `false` when it is not there.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future can have it sent again and kept as well.
    pub async fn resend(&self, sequence: u64) -> Result<bool> {
        let Some(letter) = self.letter("", sequence).await? else { return Ok(false) };
        let config = &self.0.config;
        let expires = config.now().saturating_add(millis(config.outbox_expiry));
        let outgoing = Outgoing { event: letter.event, expires };
        self.ask(|reply| {
            let reply = Box::new(move |outcome| drop(reply.send(outcome)));
            Op::Publish { outgoing, reply }
        })
        .await?;
        self.discard("", sequence).await?;
        Ok(true)
    }

    async fn letter(&self, consumer: &str, sequence: u64) -> Result<Option<Letter>> {
        let letters = self.dead_letters(consumer).await?;
        Ok(letters.into_iter().find(|letter| letter.sequence == sequence))
    }
}
