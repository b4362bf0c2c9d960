// server.js FOLDER: ChirpStack's API made of the official stubs. Prints its port, then each request
// as one line of JSON, and answers with what interop_test.c expects. First it writes events, encoded
// by the stubs, to FOLDER.
"use strict";
const fs = require("fs");
const path = require("path");
// This file stands in the source folder, the packages where the test installed them.
const packages = (name) => require(require.resolve(name, { paths: [process.argv[2]] }));
const grpc = packages("@grpc/grpc-js");
const api = (name) => packages("@chirpstack/chirpstack-api/" + name);

const device = api("api/device_pb");
const profile = api("api/device_profile_pb");
const group = api("api/multicast_group_pb");
const application = api("api/application_pb");
const gateway = api("api/gateway_pb");
const fuota = api("api/fuota_pb");
const common = api("common/common_pb");
const gw = api("gw/gw_pb");
const integration = api("integration/integration_pb");
const { Empty } = packages("google-protobuf/google/protobuf/empty_pb.js");
const { Timestamp } = packages("google-protobuf/google/protobuf/timestamp_pb.js");
const { Duration } = packages("google-protobuf/google/protobuf/duration_pb.js");

const APPLICATION = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const PROFILE = "99999999-8888-4777-8666-555555555555";
const TENANT = "11111111-2222-4333-8444-555555555555";
const id = (n) => "00000000-0000-4000-8000-" + String(n).padStart(12, "0");
const eui = (n) => n.toString(16).padStart(16, "0");

// An object of the stubs, its setters called by name.
function make(type, fields) {
  const message = new type();
  for (const [name, value] of Object.entries(fields)) {
    message["set" + name](value);
  }
  return message;
}
const time = (seconds, nanos) => make(Timestamp, { Seconds: seconds, Nanos: nanos });

function error(code, details) {
  return Object.assign(new Error(details), { code, details });
}

const deviceService = {
  enqueue: () => make(device.EnqueueDeviceQueueItemResponse, { Id: id(1) }),
  getQueue: () =>
    make(device.GetDeviceQueueItemsResponse, {
      TotalCount: 2,
      ResultList: [
        make(device.DeviceQueueItem, {
          Id: id(2), DevEui: eui(1), Confirmed: true, FPort: 200, Data: Buffer.from([1, 2, 3]),
          IsPending: true, FCntDown: 7, IsEncrypted: true, ExpiresAt: time(1, 2),
        }),
        make(device.DeviceQueueItem, { Id: id(3), FPort: 255 }),
      ],
    }),
  get: (request) => {
    if (request.getDevEui() === eui(404)) {
      throw error(grpc.status.NOT_FOUND, "Object does not exist (id: 404)");
    }
    if (request.getDevEui() === eui(401)) {
      throw error(grpc.status.UNAUTHENTICATED, "");
    }
    return make(device.GetDeviceResponse, {
      Device: make(device.Device, {
        DevEui: request.getDevEui(), Name: "d", Description: "x", ApplicationId: APPLICATION,
        DeviceProfileId: PROFILE, SkipFcntCheck: true, IsDisabled: true, JoinEui: eui(9),
      }),
      CreatedAt: time(1, 0), UpdatedAt: time(2, 0), LastSeenAt: time(3, 0),
      DeviceStatus: make(device.DeviceStatus, { Margin: -3, BatteryLevel: 50.5 }),
      ClassEnabled: common.DeviceClass.CLASS_C,
    });
  },
  getKeys: () =>
    make(device.GetDeviceKeysResponse, {
      DeviceKeys: make(device.DeviceKeys, {
        DevEui: eui(1), NwkKey: "11".repeat(16), AppKey: "22".repeat(16),
        GenAppKey: "33".repeat(16),
      }),
      CreatedAt: time(1, 0),
    }),
  getRandomDevAddr: () => make(device.GetRandomDevAddrResponse, { DevAddr: "fc00ac5c" }),
  list: (request) => {
    const first = request.getOffset();
    const count = Math.min(request.getLimit(), 501 - first);
    return make(device.ListDevicesResponse, {
      TotalCount: 9999, // too large, as it may be
      ResultList: Array.from({ length: count }, (_, i) =>
        make(device.DeviceListItem, {
          DevEui: eui(first + i + 1), Name: "n", DeviceProfileId: PROFILE, LastSeenAt: time(1, 0),
        })),
    });
  },
};

const profileService = {
  get: () =>
    make(profile.GetDeviceProfileResponse, {
      DeviceProfile: make(profile.DeviceProfile, {
        Id: PROFILE, TenantId: TENANT, Name: "p", Region: common.Region.AS923_3,
        MacVersion: common.MacVersion.LORAWAN_1_1_0, UplinkInterval: 4294967295,
        SupportsOtaa: true, SupportsClassC: true, RegionConfigId: "as923_3", Rx1Delay: 5,
        AppLayerParams: make(profile.AppLayerParams, {
          Ts003Version: 1, Ts003FPort: 223, Ts004Version: 2, Ts004FPort: 100, Ts005Version: 1,
          Ts005FPort: 0,
        }),
        SupportedUplinkDataRatesList: [0, 1, 5],
      }),
      UpdatedAt: time(1, 0),
    }),
};

let added = 0;
const groupService = {
  list: (request) =>
    make(group.ListMulticastGroupsResponse, {
      TotalCount: 2,
      ResultList: request.getSearch() === "there"
        ? [make(group.MulticastGroupListItem, { Id: id(5), Name: "not there" }),
          make(group.MulticastGroupListItem, { Id: id(6), Name: "there", ApplicationId: APPLICATION })]
        : [],
    }),
  create: () => make(group.CreateMulticastGroupResponse, { Id: id(7) }),
  addGateway: () => {
    if (++added === 1) {
      throw error(grpc.status.INTERNAL,
        'duplicate key value violates unique constraint "multicast_group_gateway_pkey"');
    }
    return new Empty();
  },
  removeGateway: () => {
    throw error(grpc.status.NOT_FOUND, "Object does not exist (id: 0000000000000002)");
  },
  delete: () => new Empty(),
  enqueue: (request) => {
    if (request.getQueueItem().getFPort() === 0) {
      throw error(grpc.status.INTERNAL, "FPort must be > 0 – ü 100%");
    }
    return make(group.EnqueueMulticastGroupQueueItemResponse, { FCnt: 4294967295 });
  },
  get: () =>
    make(group.GetMulticastGroupResponse, {
      MulticastGroup: make(group.MulticastGroup, {
        Id: id(7), Name: "g", McNwkSKey: "44".repeat(16), McAppSKey: "55".repeat(16),
        FCnt: 4000000000,
      }),
    }),
};

const applicationService = {
  get: () =>
    make(application.GetApplicationResponse, {
      Application: make(application.Application, { Id: APPLICATION, Name: "a", TenantId: TENANT }),
    }),
};

const gatewayService = {
  list: () =>
    make(gateway.ListGatewaysResponse, {
      TotalCount: 3,
      ResultList: [
        make(gateway.GatewayListItem, {
          TenantId: TENANT, GatewayId: eui(0x16c001f15008), State: gateway.GatewayState.ONLINE,
        }),
        make(gateway.GatewayListItem, { GatewayId: eui(2), State: gateway.GatewayState.OFFLINE }),
        make(gateway.GatewayListItem, { GatewayId: eui(3) }),
      ],
    }),
};

const fuotaService = {
  listDeployments: () =>
    make(fuota.ListFuotaDeploymentsResponse, {
      TotalCount: 3,
      ResultList: [
        make(fuota.FuotaDeploymentListItem, { Id: id(11), CreatedAt: time(1, 0) }),
        make(fuota.FuotaDeploymentListItem, { Id: id(12), StartedAt: time(2, 0) }),
        make(fuota.FuotaDeploymentListItem, {
          Id: id(13), StartedAt: time(2, 0), CompletedAt: time(3, 0),
        }),
      ],
    }),
  listDevices: () =>
    make(fuota.ListFuotaDeploymentDevicesResponse, {
      TotalCount: 1,
      ResultList: [make(fuota.FuotaDeploymentDeviceListItem, {
        FuotaDeploymentId: id(12), DevEui: eui(77), CreatedAt: time(1, 0),
      })],
    }),
};

function serve(server, file, name, answers) {
  const definition = api(file)[name];
  const handlers = {};
  for (const [method, answer] of Object.entries(answers)) {
    handlers[method] = (call, done) => {
      console.log(JSON.stringify({
        path: definition[method].path,
        authorization: call.metadata.get("authorization")[0],
        request: call.request.toObject(),
      }));
      try {
        done(null, answer(call.request));
      } catch (e) {
        done(e);
      }
    };
  }
  server.addService(definition, handlers);
}

function writeEvents(folder) {
  const info = () => {
    const message = make(integration.DeviceInfo, {
      TenantId: TENANT, TenantName: "t", ApplicationId: APPLICATION, ApplicationName: "a",
      DeviceProfileId: PROFILE, DeviceProfileName: "p", DeviceName: "d", DevEui: eui(0x0102030405060708n),
      DeviceClassEnabled: common.DeviceClass.CLASS_C,
    });
    message.getTagsMap().set("k", "v");
    return message;
  };
  const rx = (n, rssi) => make(gw.UplinkRxInfo, {
    GatewayId: eui(n), UplinkId: 4021, Rssi: rssi, Snr: -3.5, Channel: 2, CrcStatus: gw.CRCStatus.CRC_OK,
    GwTime: time(1785405600, 60000000), NsTime: time(1785405600, 70000000), Context: Buffer.from([1]),
    Location: make(common.Location, { Latitude: 1.5, Longitude: 2.5 }),
    TimeSinceGpsEpoch: make(Duration, { Seconds: 1785405600 - 315964800 + 18, Nanos: 50000000 }),
  });
  const modulation = make(gw.Modulation, {
    Lora: make(gw.LoraModulationInfo, {
      Bandwidth: 125000, SpreadingFactor: 7, CodeRate: gw.CodeRate.CR_4_5,
    }),
  });
  const events = {
    up: make(integration.UplinkEvent, {
      DeduplicationId: id(1), Time: time(1785405600, 123000000), DeviceInfo: info(),
      DevAddr: "01020304", Adr: true, Dr: 5, FCnt: 4294967295, FPort: 201, Confirmed: true,
      Data: Buffer.from([2, 0]), RxInfoList: [rx(1, -100), rx(2, -50)],
      TxInfo: make(gw.UplinkTxInfo, { Frequency: 868300000, Modulation: modulation }),
      RelayRxInfo: make(integration.UplinkRelayRxInfo, { DevEui: eui(5), Frequency: 1, Dr: 2 }),
      RegionConfigId: "eu868",
    }),
    join: make(integration.JoinEvent, {
      DeduplicationId: id(1), Time: time(1, 0), DeviceInfo: info(), DevAddr: "01020304",
    }),
    txack: make(integration.TxAckEvent, {
      DownlinkId: 5, Time: time(1, 0), DeviceInfo: info(), QueueItemId: id(2), FCntDown: 3,
      GatewayId: eui(1),
      TxInfo: make(gw.DownlinkTxInfo, { Frequency: 869525000, Power: 27, Modulation: modulation }),
    }),
    log: make(integration.LogEvent, {
      Time: time(1, 0), DeviceInfo: info(), Level: integration.LogLevel.ERROR,
      Code: integration.LogCode.EXPIRED, Description: "expired",
    }),
  };
  events.log.getContextMap().set("queue_item_id", id(3));
  for (const [name, event] of Object.entries(events)) {
    fs.writeFileSync(path.join(folder, name + ".bin"), event.serializeBinary());
  }
}

writeEvents(process.argv[2]);
const server = new grpc.Server();
serve(server, "api/device_grpc_pb", "DeviceServiceService", deviceService);
serve(server, "api/device_profile_grpc_pb", "DeviceProfileServiceService", profileService);
serve(server, "api/multicast_group_grpc_pb", "MulticastGroupServiceService", groupService);
serve(server, "api/application_grpc_pb", "ApplicationServiceService", applicationService);
serve(server, "api/gateway_grpc_pb", "GatewayServiceService", gatewayService);
serve(server, "api/fuota_grpc_pb", "FuotaServiceService", fuotaService);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (e, port) => {
  console.log(e ? String(e) : port);
});
