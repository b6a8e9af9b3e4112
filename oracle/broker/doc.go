// Package broker starts the embedded broker: a nats-server with JetStream, synced on every write, and an MQTT 3.1.1 listener.
//
// Gateways connect from outside, over TLS with a client certificate, as MQTT or as NATS clients; the certificate alone says who they are
// (the server's verify_and_map), and each may publish and hear exactly the subjects it is given. Oracles in the same process connect
// within it, without TLS and without limits. Everything lives in one account: MQTT needs JetStream in the account of its clients, and a
// JetStream a gateway would multiply streams, while permissions already keep gateways apart.
//
// What the broker does not promise: an MQTT PUBACK says nothing. A publish on a forbidden subject is acknowledged and dropped. Who needs
// to know waits for a receipt.
//
// # Certificates
//
// A gateway's certificate carries two URI names, its identity followed by "/mqtt" and by "/nats" (see GatewayIdentity), and the broker
// has a user for each. They differ in one permission: the server delivers to MQTT sessions on subjects below $MQTT.sub, so MQTT users
// must be allowed them. Over MQTT the server refuses subscriptions there; a NATS client with that permission would hear every gateway's
// messages.
//
// PKI is a small certificate authority for a demo, for tests, and for a consortium that has none.
package broker
