//! Tests of packages against the tools that others make and sign packages with: dpkg-deb, rpmbuild and gpg.

mod fixtures;
mod reading;
mod server;
mod signatures;
mod store;
mod tls;
