"""A synchronous server of grpcio: `grpc_server.py PORT`. Its messages are made from their description, as generated code makes them."""

import sys
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

INT64, STRING = descriptor_pb2.FieldDescriptorProto.TYPE_INT64, descriptor_pb2.FieldDescriptorProto.TYPE_STRING
ONE, MANY = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
    fields = {"Small": [("id", INT64, ONE), ("text", STRING, ONE), ("values", INT64, MANY)], "Count": [("n", INT64, ONE)]}
    for name, members in fields.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, label) in enumerate(members, 1):
            message.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName("bench." + name)) for name in fields]


Small, Count = messages()


def echo(request, context):
    return Small(id=request.id, text=request.text, values=request.values)


def ticks(request, context):
    for i in range(request.n):
        yield Small(id=i, text="hello world", values=[1, 2, 3, 4, 5, 6, 7, 8])


def main():
    write = Small.SerializeToString
    handlers = {
        "Call": grpc.unary_unary_rpc_method_handler(echo, Small.FromString, write),
        "Ticks": grpc.unary_stream_rpc_method_handler(ticks, Count.FromString, write),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", handlers)])
    server.add_insecure_port("127.0.0.1:" + sys.argv[1])
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
