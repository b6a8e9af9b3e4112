// Package homeassistant shows what a gateway reads in Home Assistant, for the people
// who live with the meter. It is opt-in, speaks to a broker of its own and never to the
// oracles', and nothing depends on it: what it shows is not signed, and a broker that
// fills, fails or is absent costs samples here and nowhere else.
//
// It follows Home Assistant's MQTT discovery
// (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery): one retained
// configuration for each channel below the discovery prefix, one device for each
// meter, and states as JSON, one message a sample. Whether the gateway is there stands
// on one topic, retained: "online" after each connection, and "offline" by its own word
// or as its will. Device classes with their units, and state classes, are those of
// https://developers.home-assistant.io/docs/core/entity/sensor: a class whose units do
// not have the channel's is left out, or Home Assistant would refuse the entity.
//
//	<prefix>/sensor/wattmark_<gateway>/<device>_<channel>/config   configuration
//	wattmark/display/<gateway>/status                              online, offline
//	wattmark/display/<gateway>/<device>/state                      {"active_power":1200,...}
package homeassistant
