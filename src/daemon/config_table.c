#include "config_table.h"

#define AT(member) offsetof(struct config, member)

const struct config_key config_keys[] = {
    {"log.level", KEY_TEXT, AT(log_level), "\"info\"", 4, 7,
     "debug, info, warning or error. Reloaded by SIGHUP."},
    {"state_dir", KEY_TEXT, AT(state_dir), "\"/var/lib/fuotad\"", 1, 200,
     "Where the first start writes admin-token, the token for fuotactl."},
    {"database.conninfo", KEY_TEXT, AT(database_conninfo), "\"dbname=fuotad\"", 0, 1000,
     "How to reach PostgreSQL, as libpq takes it. A password belongs into conninfo_file or a "
     ".pgpass file. The "
     "environment variable FUOTAD_DATABASE goes before both."},
    {"database.conninfo_file", KEY_TEXT, AT(database_conninfo_file), "\"\"", 0, 200,
     "A file with the same text; goes before conninfo."},
    {"mqtt.host", KEY_TEXT, AT(mqtt_host), "\"127.0.0.1\"", 1, 255,
     "The broker that ChirpStack publishes events to."},
    {"mqtt.port", KEY_INTEGER, AT(mqtt_port), "1883", 1, 65535, "Its port; usually 8883 with TLS."},
    {"mqtt.client_id", KEY_TEXT, AT(mqtt_client_id), "\"fuotad\"", 1, 100,
     "The broker keeps events under this name, a dash and the number of a slot while fuotad is "
     "away. "
     "The same for all daemons on one database, and for nobody else."},
    {"mqtt.username", KEY_TEXT, AT(mqtt_username), "\"\"", 0, 200, "Empty: no user."},
    {"mqtt.password_file", KEY_TEXT, AT(mqtt_password_file), "\"\"", 0, 200,
     "A file with the password. The environment variable FUOTAD_MQTT_PASSWORD goes before it."},
    {"mqtt.tls", KEY_BOOL, AT(mqtt_tls), "false", 0, 0, "Whether the broker speaks TLS."},
    {"mqtt.ca_file", KEY_TEXT, AT(mqtt_ca_file), "\"\"", 0, 200,
     "Certificate authorities (PEM). Empty: the system's."},
    {"mqtt.cert_file", KEY_TEXT, AT(mqtt_cert_file), "\"\"", 0, 200,
     "Client certificate (PEM). Empty: none."},
    {"mqtt.key_file", KEY_TEXT, AT(mqtt_key_file), "\"\"", 0, 200, "Its private key (PEM)."},
    {"mqtt.keep_alive_s", KEY_INTEGER, AT(mqtt_keep_alive_s), "30", 5, 65535,
     "Seconds between signs of life."},
    {"mqtt.session_expiry_s", KEY_INTEGER, AT(mqtt_session_expiry_s), "604800", 60, 4294967295.0,
     "How long the broker keeps events while fuotad is away."},
    {"mqtt.receive_maximum", KEY_INTEGER, AT(mqtt_receive_maximum), "2000", 1, 65535,
     "Events in one batch, acknowledged together after their commit."},
    {"mqtt.event_topic", KEY_TEXT, AT(mqtt_event_topic),
     "\"application/{application_id}/device/{dev_eui}/event/{event}\"", 1, 255,
     "ChirpStack's event_topic, with each placeholder alone between slashes."},
    {"gateways.topic_prefixes", KEY_TEXTS, AT(gateway_prefixes), "[]", 1, 100,
     "Topic prefixes of ChirpStack's gateways, as [\"eu868\"]: fuotad then listens to "
     "<prefix>/gateway/+/command/down "
     "and event/ack, makes up for frames that gateways refuse, and slows down. Empty: it does "
     "not."},
    {"gateways.host", KEY_TEXT, AT(gateway_host), "\"\"", 0, 255,
     "The broker of the gateways. Empty: that of [mqtt], with its user and TLS."},
    {"gateways.port", KEY_INTEGER, AT(gateway_port), "1883", 1, 65535, "Its port."},
    {"gateways.username", KEY_TEXT, AT(gateway_username), "\"\"", 0, 200, "Empty: no user."},
    {"gateways.password_file", KEY_TEXT, AT(gateway_password_file), "\"\"", 0, 200,
     "A file with the password. The environment variable FUOTAD_GATEWAYS_PASSWORD goes before it."},
    {"gateways.tls", KEY_BOOL, AT(gateway_tls), "false", 0, 0, "Whether that broker speaks TLS."},
    {"gateways.ca_file", KEY_TEXT, AT(gateway_ca_file), "\"\"", 0, 200,
     "Certificate authorities (PEM). Empty: the system's."},
    {"grpc.host", KEY_TEXT, AT(grpc_host), "\"127.0.0.1\"", 1, 255, "ChirpStack's API."},
    {"grpc.port", KEY_INTEGER, AT(grpc_port), "8080", 1, 65535, "Its port."},
    {"grpc.tls", KEY_BOOL, AT(grpc_tls), "false", 0, 0,
     "Whether a proxy in front of it speaks TLS."},
    {"grpc.allow_plaintext", KEY_BOOL, AT(grpc_allow_plaintext), "false", 0, 0,
     "Without TLS the API key, which reads root keys, may leave this machine only if this is "
     "true."},
    {"grpc.ca_file", KEY_TEXT, AT(grpc_ca_file), "\"\"", 0, 200,
     "Certificate authorities (PEM). Empty: the system's."},
    {"grpc.cert_file", KEY_TEXT, AT(grpc_cert_file), "\"\"", 0, 200,
     "Client certificate (PEM). Empty: none."},
    {"grpc.key_file", KEY_TEXT, AT(grpc_key_file), "\"\"", 0, 200, "Its private key (PEM)."},
    {"grpc.token_file", KEY_TEXT, AT(grpc_token_file), "\"/etc/fuotad/chirpstack-token\"", 0, 200,
     "A file with a ChirpStack API key of the tenant, not read-only. The environment variable "
     "FUOTAD_GRPC_TOKEN goes "
     "before it."},
    {"grpc.deadline_ms", KEY_INTEGER, AT(grpc_deadline_ms), "10000", 100, 120000,
     "How long a call may take."},
    {"network_server.multicast_class_c_margin_ms", KEY_INTEGER, AT(wish.margin_ms), "5000", 100,
     600000,
     "multicast_class_c_margin of ChirpStack's [network.scheduler]: its spacing between two "
     "multicast frames of one "
     "group and gateway."},
    {"network_server.scheduler_interval_ms", KEY_INTEGER, AT(wish.scheduler_interval_ms), "1000",
     10, 60000, "interval of ChirpStack's [network.scheduler]."},
    {"network_server.repeater_compatible", KEY_BOOL, AT(wish.is_repeater_compatible), "false", 0, 0,
     "repeater_compatible of ChirpStack's region: payloads of at most 222 octets."},
    {"network_server.dwell_time_400ms", KEY_BOOL, AT(wish.has_dwell_time_400ms), "false", 0, 0,
     "dwell_time_400ms of ChirpStack's region (AS923)."},
    {"keys.seal_key_file", KEY_TEXT, AT(keys_seal_key_file), "\"/etc/fuotad/seal-key\"", 1, 200,
     "A file with 64 hexadecimal digits (openssl rand -hex 32): seals the multicast keys in the "
     "database. The environment variable "
     "FUOTAD_SEAL_KEY goes before it. Read again by SIGHUP."},
    {"keys.old_seal_key_files", KEY_TEXTS, AT(keys_old_seal_key_files), "[]", 1, 200,
     "Files of the same form with keys that were replaced: they only open, and what they open is "
     "sealed anew with the key of seal_key_file. The environment variable FUOTAD_OLD_SEAL_KEYS "
     "(keys, not files, with commas between them) goes before it. Read again by SIGHUP."},
    {"cluster.lease_s", KEY_INTEGER, AT(cluster_lease_s), "15", 5, 600,
     "With several daemons on one database: within this time another one takes over the work of "
     "one "
     "that died or froze."},
    {"retention.timeline_days", KEY_INTEGER, AT(retention_timeline_days), "365", 0, 36500,
     "After so many days a deployment that is over loses its timeline and its list of frames; it "
     "and the "
     "results of its devices stay until you delete it. 0: it keeps them."},
    {"http.bind", KEY_TEXT, AT(http_bind), "\"127.0.0.1\"", 1, 60, "Address of the API."},
    {"http.port", KEY_INTEGER, AT(http_port), "8090", 0, 65535, "Its port; 0 takes any."},
    {"http.tls_cert_file", KEY_TEXT, AT(http_tls_cert_file), "\"\"", 0, 200,
     "Certificate (PEM). Empty: plain HTTP."},
    {"http.tls_key_file", KEY_TEXT, AT(http_tls_key_file), "\"\"", 0, 200,
     "Its private key (PEM)."},
    {"http.behind_tls_proxy", KEY_BOOL, AT(http_behind_tls_proxy), "false", 0, 0,
     "Plain HTTP off this machine is refused unless a proxy in front speaks TLS, and this says "
     "so."},
    {"http.hosts", KEY_TEXTS, AT(http_hosts), "[]", 0, 255,
     "Further host names by which the API is called; others are refused."},
    {"http.connections_max", KEY_INTEGER, AT(http_connections_max), "200", 1, 10000,
     "Connections at the same time."},
    {"clock_service.enabled", KEY_BOOL, AT(clock_service_enabled), "true", 0, 0,
     "Whether AppTimeReq (TS003) is answered where ChirpStack does not: for device profiles "
     "without ts003_version."},
    {"clock_service.threshold_s", KEY_INTEGER, AT(clock_service_threshold_s), "1", 0, 3600,
     "A clock that is wrong by no more is left alone, unless the device asks for an answer."},
    {"clock_service.applications", KEY_TEXTS, AT(clock_service_applications), "[]", 0, 36,
     "Applications (UUID) whose devices are served also outside of deployments."},
    {"observe.applications", KEY_TEXTS, AT(observe_applications), "[]", 0, 36,
     "Applications (UUID) whose uplinks are listened to also outside of deployments, to know which "
     "gateways hear which devices: a plan then names the devices that no chosen gateway reaches."},
    {"leap_seconds", KEY_INTEGER, AT(wish.leap_s), "18", 0, 120,
     "GPS time minus UTC; 18 since 2017."},
    {"defaults.unicast_attempts", KEY_INTEGER, AT(wish.unicast_attempts), "10", 1, 100,
     "Transmissions of a command to a device before it is given up."},
    {"defaults.quorum_percent", KEY_INTEGER, AT(wish.quorum_percent), "90", 1, 100,
     "With this share of the devices ready, the set-up ends at its deadline."},
    {"defaults.setup_deadline_s", KEY_INTEGER, AT(wish.setup_deadline_s), "259200", 300, 2592000,
     "The set-up never lasts longer."},
    {"defaults.expected_loss", KEY_REAL, AT(wish.expected_loss), "0.05", 0.0, 0.9,
     "Share of multicast frames that devices lose, for the automatic redundancy: what is sent "
     "before "
     "anybody is asked."},
    {"defaults.rounds", KEY_INTEGER, AT(wish.rounds), "60", 1, 250,
     "Batches of fragments at most; after each the devices are asked what they lack. 1: what is "
     "sent "
     "first, and no more."},
    {"defaults.sessions", KEY_INTEGER, AT(wish.sessions), "10", 1, 100,
     "Class C sessions of a deployment at most; one lasts 9.1 hours at most."},
    {"defaults.repair_passes", KEY_INTEGER, AT(wish.repair_passes), "1", 0, 7,
     "Further passes from the first fragment on, for devices that coded fragments cannot help: "
     "they "
     "lost more than they can hold, lost their session, or were late."},
    {"defaults.gateways_max", KEY_INTEGER, AT(wish.gateways_max), "3", 1, 16,
     "Gateways that a multicast group uses at most where the operator names none; each one costs a "
     "margin per frame."},
    {"defaults.uplink_interval_s", KEY_INTEGER, AT(wish.uplink_interval_s), "3600", 1, 2592000,
     "How often a device speaks whose device profile does not say."},
    {"defaults.receive_ma", KEY_REAL, AT(wish.receive_ma), "11.0", 0.0, 1000.0,
     "What a device takes while its receiver is open, in mA, for the plan's estimate of energy."},
    {"defaults.min_gap_ms", KEY_INTEGER, AT(wish.min_gap_ms), "0", 0, 3600000,
     "The least time between two multicast frames."},
    {"airtime.network_share", KEY_REAL, AT(wish.network_share), "0.2", 0.0, 0.9,
     "Where a duty cycle holds, so much of it is left to the network's other downlinks; "
     "deployments share "
     "the rest."},
    {"simulation.enabled", KEY_BOOL, AT(simulation_enabled), "false", 0, 0,
     "For demonstrations: allows clock_rate; every peer must be on this machine."},
    {"simulation.clock_rate", KEY_REAL, AT(simulation_clock_rate), "1.0", 1.0, 100000.0,
     "How many times faster protocol time passes."},
    {"simulation.clock_epoch_ms", KEY_INTEGER, AT(simulation_clock_epoch_ms), "0", 0, 4e12,
     "Unix milliseconds at which protocol time and real time agree."},
};
const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);
