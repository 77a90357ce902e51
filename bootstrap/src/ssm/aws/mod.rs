//! [`ControlPlane`] by the AWS SDK. This is the only place that sees its types; they are turned into
//! ours at once, so that an SDK release can't be felt elsewhere.

mod clock;
mod connect;
mod failure;
#[cfg(test)]
mod test_endpoint;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;

use aws_sdk_ssm::{
    Client,
    config::{self, http::HttpResponse, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{
        self, DescribeActivationsFilter, DescribeActivationsFilterKeys, InstanceInformationStringFilter,
        ResourceTypeForTagging, Tag,
    },
};
use jiff::{SignedDuration, Timestamp};

pub use self::connect::ConnectError;
use self::{clock::Clock, failure::Place};
use super::{
    Activation, ActivationId, ActivationRecord, ActivationRequest, ControlPlane, FailureKind, ManagedNodeId,
    NODES_PER_REQUEST, NodeRecord, PingStatus, SsmError,
};
use crate::inventory::Tags;

/// SSM in one environment's account and Region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AwsControlPlane {
    client: Client,
    place: Place,
    clock: Clock,
}

/// AWS's own maximum for one page.
const PAGE: i32 = 50;

impl ControlPlane for AwsControlPlane {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn now_at_the_earliest(&self) -> Timestamp {
        self.clock.now_at_the_earliest()
    }

    async fn create_activation(&self, request: &ActivationRequest) -> Result<Activation, SsmError> {
        let operation = "CreateActivation";
        // Whole seconds: the wire format has no more, and the answer doesn't repeat the date.
        let life = SignedDuration::from_secs(request.expires_in.as_secs().try_into().unwrap_or(i64::MAX));
        let expires =
            self.clock.now().checked_add(life).map_err(|_| self.place.surprise(operation, "no such date"))?;
        let answer = self
            .client
            .create_activation()
            .iam_role(&request.role)
            .registration_limit(i32::from(request.limit.get()))
            .expiration_date(DateTime::from_secs(expires.as_second()))
            .set_default_instance_name(request.default_instance_name.clone())
            .description(&request.description)
            .set_tags(Some(self.wire_tags(operation, &request.tags)?))
            .customize()
            .config_override(config::Config::builder().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .map_err(|error| self.place.failure(operation, &error))?;
        let id = answer.activation_id.unwrap_or_default();
        let id = id.parse().map_err(|error| self.place.surprise(operation, error))?;
        let code =
            answer.activation_code.ok_or_else(|| self.place.surprise(operation, "the answer has no code"))?;
        Ok(Activation { id, code: code.into(), expires })
    }

    async fn delete_activation(&self, id: &ActivationId) -> Result<(), SsmError> {
        let answer = self.client.delete_activation().activation_id(id.as_str()).send().await;
        match answer.map_err(|error| self.place.failure("DeleteActivation", &error)) {
            Err(error) if error.kind == FailureKind::NotFound => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn activations(&self) -> Result<Vec<ActivationRecord>, SsmError> {
        self.activations_with(None).await
    }

    async fn activations_named(&self, name: &str) -> Result<Vec<ActivationRecord>, SsmError> {
        let of_name = DescribeActivationsFilter::builder()
            .filter_key(DescribeActivationsFilterKeys::DefaultInstanceName)
            .filter_values(name)
            .build();
        self.activations_with(Some(vec![of_name])).await
    }

    async fn nodes(&self, ids: &[ManagedNodeId]) -> Result<Vec<NodeRecord>, SsmError> {
        let mut records = Vec::new();
        let mut batches: Vec<&[ManagedNodeId]> = ids.chunks(NODES_PER_REQUEST).collect();
        while let Some(batch) = batches.pop() {
            let ids = batch.iter().map(|id| id.as_str().to_owned()).collect();
            match self.nodes_with("InstanceIds", ids).await {
                Ok(found) => records.extend(found),
                // One unknown id spoils the answer for all, and the answer doesn't say which.
                Err(error) if error.code.as_deref() == Some("InvalidInstanceId") => {
                    if batch.len() > 1 {
                        let (left, right) = batch.split_at(batch.len() / 2);
                        batches.extend([left, right]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    async fn nodes_of(&self, activation: &ActivationId) -> Result<Vec<NodeRecord>, SsmError> {
        self.nodes_with("ActivationIds", vec![activation.to_string()]).await
    }

    async fn deregister(&self, id: &ManagedNodeId) -> Result<(), SsmError> {
        let answer = self.client.deregister_managed_instance().instance_id(id.as_str()).send().await;
        match answer.map_err(|error| self.place.failure("DeregisterManagedInstance", &error)) {
            Err(error) if error.code.as_deref() == Some("InvalidInstanceId") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn tags(&self, id: &ManagedNodeId) -> Result<Tags, SsmError> {
        let answer = self
            .client
            .list_tags_for_resource()
            .resource_type(ResourceTypeForTagging::ManagedInstance)
            .resource_id(id.as_str())
            .send()
            .await
            .map_err(|error| self.place.failure("ListTagsForResource", &error))?;
        Ok(tags(answer.tag_list))
    }

    async fn set_tags(&self, id: &ManagedNodeId, tags: &Tags) -> Result<(), SsmError> {
        let operation = "AddTagsToResource";
        if tags.is_empty() {
            return Ok(());
        }
        self.client
            .add_tags_to_resource()
            .resource_type(ResourceTypeForTagging::ManagedInstance)
            .resource_id(id.as_str())
            .set_tags(Some(self.wire_tags(operation, tags)?))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.place.failure(operation, &error))
    }
}

impl AwsControlPlane {
    /// Asks for next to nothing, once: whether there is an answer, and to these credentials.
    pub async fn hears_us(&self) -> Result<(), SsmError> {
        self.client
            .describe_activations()
            .max_results(1)
            .customize()
            .config_override(config::Config::builder().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.place.failure("DescribeActivations", &error))
    }

    async fn activations_with(
        &self,
        filters: Option<Vec<DescribeActivationsFilter>>,
    ) -> Result<Vec<ActivationRecord>, SsmError> {
        let operation = "DescribeActivations";
        let asked = self.client.describe_activations().set_filters(filters);
        let mut pages = asked.into_paginator().page_size(PAGE).items().send();
        let mut records = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| self.place.failure(operation, &error))?;
            let record = activation_record(item).map_err(|error| self.place.surprise(operation, error))?;
            records.push(record);
        }
        Ok(records)
    }

    async fn nodes_with(&self, key: &str, values: Vec<String>) -> Result<Vec<NodeRecord>, SsmError> {
        let operation = "DescribeInstanceInformation";
        let wanted = InstanceInformationStringFilter::builder()
            .key(key)
            .set_values(Some(values))
            .build()
            .map_err(|error| self.place.surprise(operation, error))?;
        let mut pages = self
            .client
            .describe_instance_information()
            .filters(wanted)
            .into_paginator()
            .page_size(PAGE)
            .items()
            .send();
        let mut records = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| self.place.failure(operation, &error))?;
            let record = node_record(item).map_err(|error| self.place.surprise(operation, error))?;
            records.push(record);
        }
        Ok(records)
    }

    fn wire_tags(&self, operation: &'static str, tags: &Tags) -> Result<Vec<Tag>, SsmError> {
        tags.iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect::<Result<_, _>>()
            .map_err(|error| self.place.surprise(operation, error))
    }
}

fn tags(wire: Option<Vec<Tag>>) -> Tags {
    wire.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn timestamp(wire: Option<DateTime>) -> Option<Timestamp> {
    let wire = wire?;
    Timestamp::new(wire.secs(), wire.subsec_nanos().try_into().ok()?).ok()
}

fn activation_record(wire: types::Activation) -> Result<ActivationRecord, super::InvalidActivationId> {
    Ok(ActivationRecord { id: wire.activation_id.unwrap_or_default().parse()?, tags: tags(wire.tags) })
}

fn node_record(wire: types::InstanceInformation) -> Result<NodeRecord, super::InvalidManagedNodeId> {
    let ping = match wire.ping_status.as_ref().map(types::PingStatus::as_str) {
        Some("Online") => PingStatus::Online,
        Some("ConnectionLost") => PingStatus::ConnectionLost,
        word => PingStatus::Other(word.unwrap_or("unknown").to_owned()),
    };
    Ok(NodeRecord {
        id: wire.instance_id.unwrap_or_default().parse()?,
        ping,
        last_ping: timestamp(wire.last_ping_date_time),
        iam_role: wire.iam_role,
    })
}

/// What every operation of the SDK fails with.
type Failure<E> = SdkError<E, HttpResponse>;

/// An operation's error with AWS's code and message.
trait AwsFault: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static {}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> AwsFault for E {}
