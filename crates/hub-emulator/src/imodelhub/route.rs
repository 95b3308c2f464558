//! What a path asks for. Pure.

use super::topic::Topic;

/// A path that the service knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// The REST side.
    Wsg { topic: Topic, class: Class, id: Option<&'a str> },
    /// The platform's webhooks, or one of them.
    Webhooks { id: Option<&'a str> },
    /// A queue.
    Bus { topic: Topic, subscription: &'a str, place: Place<'a> },
}

/// What the REST side keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Subscription,
    Sas,
}

/// A place in a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Head,
    /// A locked message: its sequence number or id, and its lock token.
    Message(&'a str, &'a str),
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// The path is below `sv1.1`, but no such thing is there.
    NoClass,
    /// The id of the iModel is not a GUID.
    NoIModel,
    /// The path is on the bus, but no such thing is there.
    NoEntity,
    /// Nothing of ours.
    Unknown,
}

impl<'a> Route<'a> {
    /// Reads a path, without regard to case and to doubled slashes.
    pub(super) fn parse(path: &'a str) -> Result<Self, NoRoute> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let Some(version) = segments.iter().position(|segment| segment.eq_ignore_ascii_case("sv1.1")) {
            return wsg(&segments[version + 1..]);
        }
        match segments.split_first() {
            Some((first, [])) if first.eq_ignore_ascii_case("webhooks") => Ok(Route::Webhooks { id: None }),
            Some((first, [id])) if first.eq_ignore_ascii_case("webhooks") => {
                Ok(Route::Webhooks { id: Some(id) })
            }
            Some((first, rest)) if first.eq_ignore_ascii_case("bus") => bus(rest).ok_or(NoRoute::NoEntity),
            _ => Err(NoRoute::Unknown),
        }
    }
}

fn wsg<'a>(segments: &[&'a str]) -> Result<Route<'a>, NoRoute> {
    let (repositories, repository, scope, class, id) = match *segments {
        [repositories, repository, scope, class] => (repositories, repository, scope, class, None),
        [repositories, repository, scope, class, id] => (repositories, repository, scope, class, Some(id)),
        _ => return Err(NoRoute::NoClass),
    };
    let (plugin, name) = repository.split_once("--").ok_or(NoRoute::NoClass)?;
    if !repositories.eq_ignore_ascii_case("repositories") {
        return Err(NoRoute::NoClass);
    }
    let lower = |text: &str| text.to_ascii_lowercase();
    let (topic, class) = match (lower(plugin).as_str(), lower(scope).as_str(), lower(class).as_str()) {
        ("imodel", "imodelscope", "eventsubscription") => (Topic::imodel(name), Class::Subscription),
        ("imodel", "imodelscope", "eventsas") => (Topic::imodel(name), Class::Sas),
        ("global", "globalscope", "globaleventsubscription") => (Some(Topic::Global), Class::Subscription),
        ("global", "globalscope", "globaleventsas") => (Some(Topic::Global), Class::Sas),
        _ => return Err(NoRoute::NoClass),
    };
    Ok(Route::Wsg { topic: topic.ok_or(NoRoute::NoIModel)?, class, id })
}

fn bus<'a>(segments: &[&'a str]) -> Option<Route<'a>> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    let (topic, subscription, place) = match *segments {
        [topic, subscriptions, id, messages, head]
            if is(subscriptions, "subscriptions") && is(messages, "messages") && is(head, "head") =>
        {
            (topic, id, Place::Head)
        }
        [topic, subscriptions, id, messages, key, token]
            if is(subscriptions, "subscriptions") && is(messages, "messages") =>
        {
            (topic, id, Place::Message(key, token))
        }
        _ => return None,
    };
    Some(Route::Bus { topic: Topic::from_path(topic)?, subscription, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8585af91-74e6-4159-a172-dbb08f66d0fd";

    #[test]
    fn paths_are_read_with_any_prefix_case_and_trailing_slash() {
        let imodel = || Topic::IModel(ID.into());
        let upper = ID.to_ascii_uppercase();
        for (path, class, id) in [
            (
                format!("/sv1.1/Repositories/iModel--{ID}/iModelScope/EventSubscription/"),
                Class::Subscription,
                None,
            ),
            (format!("/sv1.1/Repositories/iModel--{upper}/iModelScope/EventSAS/"), Class::Sas, None),
            (format!("/imodelhub/sv1.1/Repositories/iModel--{ID}/iModelScope/EventSAS"), Class::Sas, None),
            (
                format!("//SV1.1/repositories/imodel--{ID}/imodelscope/eventsubscription/X"),
                Class::Subscription,
                Some("X"),
            ),
        ] {
            assert_eq!(Route::parse(&path), Ok(Route::Wsg { topic: imodel(), class, id }), "{path}");
        }
        assert_eq!(
            Route::parse("/sv1.1/Repositories/Global--Global/GlobalScope/GlobalEventSAS/"),
            Ok(Route::Wsg { topic: Topic::Global, class: Class::Sas, id: None })
        );
        assert_eq!(
            Route::parse(&format!("/bus/{upper}/Subscriptions/S/Messages/Head")),
            Ok(Route::Bus { topic: imodel(), subscription: "S", place: Place::Head })
        );
        assert_eq!(
            Route::parse("/bus/iModelHubGlobalEvents/subscriptions/S/messages/2/T"),
            Ok(Route::Bus { topic: Topic::Global, subscription: "S", place: Place::Message("2", "T") })
        );
        assert_eq!(Route::parse("/webhooks/"), Ok(Route::Webhooks { id: None }));
        assert_eq!(Route::parse("/Webhooks/7"), Ok(Route::Webhooks { id: Some("7") }));
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for (path, why) in [
            ("/", NoRoute::Unknown),
            ("/sv1.1", NoRoute::NoClass),
            ("/sv1.1/Repositories/iModel--x/iModelScope/EventSAS/", NoRoute::NoIModel),
            ("/sv1.1/Repositories/iModel--x/iModelScope/Lock/", NoRoute::NoClass),
            ("/sv1.1/Repositories/Global--Global/iModelScope/EventSAS/", NoRoute::NoClass),
            ("/sv1.1/Repositories/Global/GlobalScope/GlobalEventSAS/", NoRoute::NoClass),
            ("/webhooks/7/activate", NoRoute::Unknown),
            ("/bus", NoRoute::NoEntity),
            ("/bus/x/Subscriptions/s/messages/head", NoRoute::NoEntity),
            ("/bus/imodelhubglobalevents/Subscriptions/s/messages/tail", NoRoute::NoEntity),
        ] {
            assert_eq!(Route::parse(path), Err(why), "{path}");
        }
    }
}
