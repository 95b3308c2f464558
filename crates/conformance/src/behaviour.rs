//! The list of behaviours, and what each depends on.

use std::fmt;

use event_core::transport::{Capabilities, Continuity, Flow, Guarantee};
use futures_util::future::LocalBoxFuture;

use crate::behaviours::{connecting, credit, delivering, ending, healing, publishing, settling, subscribing};
use crate::subject::Bench;
use crate::verdict::Verdict;

/// The body of a behaviour.
pub type Body = fn(Bench) -> LocalBoxFuture<'static, Verdict>;

/// One thing that a transport does, or says that it does not.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What holds, as the name of a test.
    pub name: &'static str,
    /// What it depends on.
    pub need: Need,
    /// What must hold with the capability.
    pub holds: Body,
    /// What must hold without it: mostly that asking for it answers `Unsupported`.
    pub lacks: Body,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("name", &self.name)
            .field("need", &self.need)
            .finish_non_exhaustive()
    }
}

/// The part of [`Capabilities`] that decides which body judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Nothing: every transport does it.
    Nothing,
    /// [`Capabilities::publish`].
    Publish,
    /// [`Capabilities::publish`] and [`Capabilities::publish_receipt`].
    Receipt,
    /// [`Capabilities::reply`].
    Reply,
    /// [`Capabilities::server_filter`].
    ServerFilter,
    /// [`Flow::Credit`].
    Credit,
    /// [`Guarantee::AtMostOnce`].
    AtMostOnce,
    /// [`Guarantee::AtLeastOnce`].
    AtLeastOnce,
    /// [`Capabilities::nack`].
    Nack,
    /// [`Capabilities::extend_lock`].
    ExtendLock,
    /// [`Capabilities::max_payload`].
    MaxPayload,
    /// [`Capabilities::window`].
    Window,
    /// [`Continuity::SelfHealing`].
    SelfHealing,
    /// [`Capabilities::durable`].
    Durable,
    /// [`Capabilities::offline`].
    Offline,
}

impl Need {
    /// Whether a transport with these capabilities has it.
    pub fn is_met(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Nothing => true,
            Self::Publish => capabilities.publish,
            Self::Receipt => capabilities.publish && capabilities.publish_receipt,
            Self::Reply => capabilities.reply,
            Self::ServerFilter => capabilities.server_filter,
            Self::Credit => capabilities.flow == Flow::Credit,
            Self::AtMostOnce => capabilities.guarantees.contains(Guarantee::AtMostOnce),
            Self::AtLeastOnce => capabilities.guarantees.contains(Guarantee::AtLeastOnce),
            Self::Nack => capabilities.nack,
            Self::ExtendLock => capabilities.extend_lock,
            Self::MaxPayload => capabilities.max_payload.is_some(),
            Self::Window => capabilities.window.is_some(),
            Self::SelfHealing => capabilities.continuity == Continuity::SelfHealing,
            Self::Durable => capabilities.durable,
            Self::Offline => capabilities.offline,
        }
    }
}

macro_rules! behaviours {
    ($($name:literal, $need:ident, $holds:path, $lacks:path;)*) => {
        &[$(Behaviour {
            name: $name,
            need: Need::$need,
            holds: |bench| Box::pin($holds(bench)),
            lacks: |bench| Box::pin($lacks(bench)),
        }),*]
    };
}

/// Everything that a transport is judged by.
pub const BEHAVIOURS: &[Behaviour] = behaviours! {
    "connect_gives_a_link_that_names_its_peer", Nothing, connecting::names_its_peer, always;
    "connect_is_one_attempt_and_returns_its_refusal_or_needs_no_service", Offline, connecting::needs_no_service, connecting::one_attempt;
    "capabilities_are_constant", Nothing, connecting::constant, always;
    "two_links_are_independent", Nothing, connecting::independent, always;

    "deliveries_arrive_in_order", Nothing, delivering::in_order, always;
    "deliveries_say_whom_they_are_for", Nothing, delivering::routed, always;
    "a_first_delivery_says_that_it_is_the_first", Nothing, delivering::first_attempt, always;
    "payloads_arrive_byte_for_byte", Nothing, delivering::byte_for_byte, always;
    "the_inbound_stream_is_cancel_safe", Nothing, delivering::cancel_safe, always;

    "publish_is_acknowledged", Receipt, publishing::acknowledged, publishing::no_receipt;
    "publish_reaches_subscribers", Publish, publishing::reaches, publishing::unsupported;
    "published_payloads_arrive_byte_for_byte", Publish, publishing::byte_for_byte, publishing::unsupported;
    "published_events_keep_their_order", Publish, publishing::in_order, publishing::unsupported;
    "a_refused_publish_fails_its_own_confirmation", Receipt, publishing::refused, publishing::no_receipt;
    "open_confirmations_are_unconfirmed_when_the_connection_ends", Receipt, publishing::cut, publishing::no_receipt;
    "open_confirmations_are_unconfirmed_after_closing", Receipt, publishing::closed, publishing::no_receipt;
    "dropping_a_confirmation_does_not_unsend", Publish, publishing::not_unsent, publishing::unsupported;
    "a_full_window_gives_the_event_back_and_says_when_there_is_room", Window, publishing::window, publishing::no_window;
    "a_payload_over_the_limit_is_refused_and_given_back", MaxPayload, publishing::too_large, publishing::no_limit;
    "flush_returns_when_everything_is_sent", Publish, publishing::flush, publishing::nothing_to_flush;
    "replies_keep_what_they_answer", Reply, publishing::reply, publishing::no_reply;

    "a_subscription_stands_when_it_is_confirmed", Nothing, subscribing::confirmed, always;
    "unsubscribing_stops_deliveries", Nothing, subscribing::unsubscribed, always;
    "subscribing_is_by_the_verb_or_by_an_event_and_never_by_silence", Nothing, subscribing::verb, always;
    "a_guarantee_not_offered_is_refused_at_subscribe_time", Nothing, subscribing::guarantees, always;
    "a_subscription_on_a_closed_link_is_refused", Nothing, subscribing::on_a_closed_link, always;
    "the_service_filters_by_expression", ServerFilter, subscribing::filtered, subscribing::unfiltered;

    "nothing_is_delivered_without_credit", Credit, credit::none_without, credit::pushed;
    "never_more_is_delivered_than_granted", Credit, credit::never_more, credit::pushed;
    "credit_adds_up", Credit, credit::adds_up, credit::pushed;
    "credit_is_of_one_subscription", Credit, credit::of_one, credit::pushed;

    "at_most_once_asks_for_no_settlement", AtMostOnce, settling::nothing_to_settle, settling::refused_at_most_once;
    "at_least_once_gives_a_token_and_a_lock", AtLeastOnce, settling::locked, settling::unsupported;
    "a_completed_delivery_does_not_come_back", AtLeastOnce, settling::complete, settling::unsupported;
    "a_delivery_that_is_not_settled_comes_back_counted", AtLeastOnce, settling::comes_back, settling::unsupported;
    "settling_after_the_lock_lapsed_is_told", AtLeastOnce, settling::lapsed, settling::unsupported;
    "settling_with_a_foreign_token_gives_it_back", AtLeastOnce, settling::foreign, settling::unsupported;
    "a_rejected_delivery_does_not_come_back_or_rejecting_is_unsupported", AtLeastOnce, settling::reject, settling::unsupported;
    "an_abandoned_delivery_comes_back_counted", Nack, settling::abandon, settling::no_nack;
    "a_delivery_abandoned_for_a_while_comes_back", Nack, settling::abandon_for, settling::no_nack;
    "a_named_subscription_goes_on_where_it_stopped", Durable, settling::goes_on, settling::no_name;
    "an_extended_lock_lasts_longer", ExtendLock, settling::extend, settling::no_extension;

    "closing_ends_everything_and_twice_is_once", Nothing, ending::closed, always;
    "closing_leaves_no_task", Nothing, ending::no_task_after_closing, always;
    "dropping_a_link_leaves_no_task", Nothing, ending::no_task_after_dropping, always;
    "a_link_whose_reader_is_gone_says_so", Nothing, ending::reader_gone, always;
    "a_broken_connection_is_repaired_and_told_or_ends_the_link_once", SelfHealing, healing::repaired, ending::ends_once;
    "a_repair_keeps_the_subscriptions", SelfHealing, healing::keeps, ending::next_link;
};

/// For what every transport does; [`Need::Nothing`] is always met.
async fn always(_: Bench) -> Verdict {
    Ok(())
}
