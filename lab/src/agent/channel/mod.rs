//! The ways messages reach the agent: the control channel of the message gateway, and the message delivery service
//! as long as there is no control channel.

pub mod control;
pub mod gateway;
pub mod link;
pub mod messages;
pub mod outbox;
pub mod wire;
