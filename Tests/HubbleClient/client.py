"""A client of Hubble's services that shares nothing with Apus: gRPC and protobuf are those of Debian's Python.

usage: client.py [--ca FILE [--cert FILE --key FILE] --name NAME] [--count N] [--each] STUBS TARGET SERVICE METHOD REQUEST

STUBS holds what protoc made of the definitions, REQUEST is JSON. Prints each answer as a line of JSON and ends after N
of them, after the last one, or with status 3 and the error as a line of JSON. With --each REQUEST is a list of requests
for streams that end by themselves, and each of them makes one line: the list of its answers, or its error.
"""
import argparse
import importlib
import json
import sys

import grpc
from google.protobuf import json_format

STREAMS = {"GetFlows", "GetAgentEvents", "GetDebugEvents", "Notify", "Watch"}
MODULES = {"observer.Observer": "observer_pb2", "peer.Peer": "peer_pb2", "grpc.health.v1.Health": "health_pb2"}
HEALTH = ("HealthCheckRequest", "HealthCheckResponse")
MESSAGES = {"Check": HEALTH, "Watch": HEALTH, "Notify": ("NotifyRequest", "ChangeNotification")}


def read(path):
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def channel(options):
    if options.ca is None:
        return grpc.insecure_channel(options.target)
    credentials = grpc.ssl_channel_credentials(read(options.ca), read(options.key), read(options.cert))
    return grpc.secure_channel(options.target, credentials, [("grpc.ssl_target_name_override", options.name)])


def told(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def show(value):
    print(json.dumps(value), flush=True)


def problem(error):
    return {"code": error.code().name, "details": error.details()}


def call(options, connection):
    module = importlib.import_module(MODULES[options.service])
    names = MESSAGES.get(options.method, (options.method + "Request", options.method + "Response"))
    stream = options.method in STREAMS
    make = connection.unary_stream if stream else connection.unary_unary
    ask = make(
        "/%s/%s" % (options.service, options.method),
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=getattr(module, names[1]).FromString,
    )
    if options.each:
        for text in json.loads(options.request):
            try:
                show([told(answer) for answer in ask(json_format.ParseDict(text, getattr(module, names[0])()), timeout=60)])
            except grpc.RpcError as error:
                show(problem(error))
        return
    request = json_format.Parse(options.request, getattr(module, names[0])())
    if not stream:
        return show(told(ask(request, timeout=60)))
    answers = ask(request, timeout=60)
    for number, answer in enumerate(answers, 1):
        show(told(answer))
        if number == options.count:
            answers.cancel()
            break


def main():
    parser = argparse.ArgumentParser()
    for name in ("ca", "cert", "key", "name"):
        parser.add_argument("--" + name)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--each", action="store_true")
    for name in ("stubs", "target", "service", "method", "request"):
        parser.add_argument(name)
    options = parser.parse_args()
    sys.path.insert(0, options.stubs)
    try:
        with channel(options) as connection:
            call(options, connection)
    except grpc.RpcError as error:
        show(problem(error))
        sys.exit(3)


main()
