//! Istio.

use kcr_networking_istio_io::v1::{destinationrules::DestinationRule, virtualservices::VirtualService};
use kcr_security_istio_io::v1::{
    authorizationpolicies::AuthorizationPolicy,
    peerauthentications::{PeerAuthentication, PeerAuthenticationSpec},
};
use serde_norway::Value;

use super::read_all_of;

pub const NETWORKING: &str = "networking.istio.io/v1";
pub const SECURITY: &str = "security.istio.io/v1";

pub fn destination_rule(document: &Value) -> Result<(), String> {
    read_all_of::<DestinationRule>(document).map(drop)
}

/// Istio's webhook requires a host and a route.
pub fn virtual_service(document: &Value) -> Result<(), String> {
    let spec = read_all_of::<VirtualService>(document)?.spec;
    let routes = [spec.http.map(|r| r.len()), spec.tcp.map(|r| r.len()), spec.tls.map(|r| r.len())];
    if spec.hosts.is_none_or(|hosts| hosts.is_empty()) {
        return Err("it has no host".into());
    }
    if routes.into_iter().flatten().sum::<usize>() == 0 {
        return Err("it has no route".into());
    }
    Ok(())
}

pub fn authorization_policy(document: &Value) -> Result<(), String> {
    let spec = read_all_of::<AuthorizationPolicy>(document)?.spec;
    for rule in spec.rules.unwrap_or_default() {
        for to in rule.to.unwrap_or_default() {
            let operation = to.operation.ok_or("to without an operation")?;
            let ports = operation.ports.into_iter().chain(operation.not_ports).flatten();
            for port in ports {
                port.parse::<u16>().map_err(|_| format!("{port} is no port"))?;
            }
        }
        if rule.from.into_iter().flatten().any(|from| from.source.is_none()) {
            return Err("from without a source".into());
        }
    }
    Ok(())
}

/// Istio's webhook refuses port modes if no pods are selected.
pub fn peer_authentication(document: &Value) -> Result<(), String> {
    let PeerAuthenticationSpec { selector, port_level_mtls, .. } =
        read_all_of::<PeerAuthentication>(document)?.spec;
    let selected = selector.and_then(|s| s.match_labels).is_some_and(|labels| !labels.is_empty());
    if port_level_mtls.is_some() && !selected {
        return Err("portLevelMtls without a selector".into());
    }
    Ok(())
}
