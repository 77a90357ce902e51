//! Events found again: newest first by one attribute and a span of time, as `LookupEvents` asks, or oldest first after
//! a known one, as someone asks who follows them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Map, Value, json};

use super::resource::{Touched, name_of};

/// What events may be looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `EventId`.
    Id,
    /// `EventName`.
    Name,
    /// `ReadOnly`.
    ReadOnly,
    /// `Username`.
    UserName,
    /// `ResourceType`.
    ResourceType,
    /// `ResourceName`, or an ARN in its place.
    ResourceName,
    /// `EventSource`.
    Source,
    /// `AccessKeyId`.
    AccessKeyId,
}

impl Attribute {
    /// The attribute that AWS calls so.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "EventId" => Self::Id,
            "EventName" => Self::Name,
            "ReadOnly" => Self::ReadOnly,
            "Username" => Self::UserName,
            "ResourceType" => Self::ResourceType,
            "ResourceName" => Self::ResourceName,
            "EventSource" => Self::Source,
            "AccessKeyId" => Self::AccessKeyId,
            _ => return None,
        })
    }

    fn column(self) -> &'static str {
        match self {
            Self::Id => "e.id",
            Self::Name => "e.name",
            Self::ReadOnly => "e.read_only",
            Self::UserName => "e.user_name",
            Self::ResourceType => "r.kind",
            Self::ResourceName => "r.name",
            Self::Source => "e.source",
            Self::AccessKeyId => "e.access_key_id",
        }
    }

    fn is_of_resources(self) -> bool {
        matches!(self, Self::ResourceType | Self::ResourceName)
    }
}

/// Which events are wanted; times in seconds since the epoch, both included.
#[derive(Debug, Clone)]
pub struct Query {
    /// An attribute and its value.
    pub attribute: Option<(Attribute, String)>,
    /// Not before this.
    pub start: Option<i64>,
    /// Not after this.
    pub end: Option<i64>,
}

/// The place of an event in the order of lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its time in seconds since the epoch.
    pub time: i64,
    /// Its number, which orders the events of a second.
    pub seq: i64,
}

/// Events, and where to go on if there are more.
#[derive(Debug)]
pub struct Found {
    /// As `LookupEvents` answers them, newest first.
    pub events: Vec<Value>,
    /// The place of the last of them, if older ones follow.
    pub next: Option<Position>,
}

/// Finds up to `most` events older than `after`.
pub fn find(
    database: &Connection,
    query: &Query,
    after: Option<Position>,
    most: usize,
) -> Result<Found, rusqlite::Error> {
    let after = after.unwrap_or(Position { time: i64::MAX, seq: i64::MAX });
    let value = query.attribute.as_ref().map(|(attribute, value)| match attribute {
        Attribute::ResourceName => name_of(value),
        _ => value,
    });
    let mut statement =
        database.prepare_cached(&sql(query.attribute.as_ref().map(|(attribute, _)| *attribute)))?;
    let rows = statement.query_map(
        params![
            value,
            query.start.unwrap_or(i64::MIN),
            query.end.unwrap_or(i64::MAX),
            after.time,
            after.seq,
            i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1),
        ],
        |row| Ok((Position { time: row.get(0)?, seq: row.get(1)? }, listed(row)?)),
    )?;
    let mut found: Vec<(Position, Value)> = rows.collect::<Result<_, _>>()?;
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().map(|(position, _)| *position).filter(|_| more);
    Ok(Found { events: found.into_iter().map(|(_, event)| event).collect(), next })
}

/// Sorted as the index of the attribute is, so that SQLite stops at the end of the page.
fn sql(attribute: Option<Attribute>) -> String {
    let condition =
        attribute.map_or("?1 IS NULL".to_owned(), |attribute| format!("{} = ?1", attribute.column()));
    let (distinct, from, time, seq) = if attribute.is_some_and(Attribute::is_of_resources) {
        ("DISTINCT", "event_resources r CROSS JOIN events e ON e.seq = r.event", "r.time", "r.event")
    } else {
        ("", "events e", "e.time", "e.seq")
    };
    format!(
        "SELECT {distinct} {time}, {seq}, e.id, e.name, e.read_only, e.access_key_id, e.source, e.user_name, e.record
         FROM {from}
         WHERE {condition} AND {time} BETWEEN ?2 AND ?3 AND ({time}, {seq}) < (?4, ?5)
         ORDER BY {time} DESC, {seq} DESC LIMIT ?6"
    )
}

fn listed(row: &Row<'_>) -> Result<Value, rusqlite::Error> {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let record = text(8)?.unwrap_or_default();
    let resources: Vec<Value> = serde_json::from_str::<Value>(&record)
        .ok()
        .and_then(|record| {
            Some(record.get("resources")?.as_array()?.iter().filter_map(Touched::listed).collect())
        })
        .unwrap_or_default();
    let members = [
        ("EventId", text(2)?.map(Value::from)),
        ("EventName", text(3)?.map(Value::from)),
        ("ReadOnly", text(4)?.map(Value::from)),
        ("AccessKeyId", text(5)?.map(Value::from)),
        ("EventTime", Some(json!(row.get::<_, i64>(0)?))),
        ("EventSource", text(6)?.map(Value::from)),
        ("Username", text(7)?.map(Value::from)),
        ("Resources", Some(Value::Array(resources))),
        ("CloudTrailEvent", Some(record.into())),
    ];
    let told = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(Value::Object(told.collect::<Map<_, _>>()))
}

/// Up to `most` records that were written after the event `since`, or from the oldest on; `None` if that event is not
/// kept.
pub fn records_since(
    database: &Connection,
    since: Option<&str>,
    most: usize,
) -> Result<Option<Vec<String>>, rusqlite::Error> {
    let after: Option<i64> = match since {
        Some(id) => {
            database.query_row("SELECT seq FROM events WHERE id = ?1", [id], |row| row.get(0)).optional()?
        }
        None => Some(0),
    };
    let Some(after) = after else { return Ok(None) };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement =
        database.prepare_cached("SELECT record FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let records = statement.query_map([after, most], |row| row.get(0))?;
    records.collect::<Result<_, _>>().map(Some)
}
