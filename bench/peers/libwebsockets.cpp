// An echo server on libwebsockets. Usage: libwebsockets PORT [libuv]
// Its own loop is poll(2): cheap with few connections, dear with many. With libuv it is epoll.
#include <libwebsockets.h>
#include <sys/resource.h>

#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>

namespace {

struct Message {
    std::string bytes = std::string(LWS_PRE, '\0');  // the library puts the header there
    bool text = true;
};

struct Session {
    Message incoming;
    std::deque<Message> outgoing;
};

void receive(Session& session, lws* socket, const char* bytes, std::size_t size) {
    session.incoming.bytes.append(bytes, size);
    if (lws_remaining_packet_payload(socket) > 0 || !lws_is_final_fragment(socket)) return;
    session.incoming.text = lws_frame_is_binary(socket) == 0;
    session.outgoing.push_back(std::move(session.incoming));
    session.incoming = {};
    lws_callback_on_writable(socket);
}

int write(Session& session, lws* socket) {
    if (session.outgoing.empty()) return 0;
    std::string& bytes = session.outgoing.front().bytes;
    const int written =
        lws_write(socket, reinterpret_cast<unsigned char*>(&bytes[LWS_PRE]), bytes.size() - LWS_PRE,
                  session.outgoing.front().text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY);
    session.outgoing.pop_front();
    if (!session.outgoing.empty()) lws_callback_on_writable(socket);  // one write an event
    return written < 0 ? -1 : 0;
}

int on_event(lws* socket, lws_callback_reasons reason, void* user, void* in, std::size_t size) {
    auto*& session = *static_cast<Session**>(user);
    switch (reason) {
        case LWS_CALLBACK_ESTABLISHED:
            session = new Session;
            return 0;
        case LWS_CALLBACK_CLOSED:
            delete session;
            return 0;
        case LWS_CALLBACK_RECEIVE:
            receive(*session, socket, static_cast<const char*>(in), size);
            return 0;
        case LWS_CALLBACK_SERVER_WRITEABLE:
            return write(*session, socket);
        default:
            return 0;
    }
}

}  // namespace

int main(int argc, char** argv) {
    // The library sizes its tables by the limit on descriptors.
    const rlimit limit{20000, 20000};
    setrlimit(RLIMIT_NOFILE, &limit);
    lws_set_log_level(LLL_ERR, nullptr);

    lws_protocols protocols[2]{};
    protocols[0].name = "echo";
    protocols[0].callback = on_event;
    protocols[0].per_session_data_size = sizeof(Session*);
    protocols[0].rx_buffer_size = 64 * 1024;
    lws_context_creation_info info{};
    info.port = argc >= 2 ? std::atoi(argv[1]) : 8080;
    info.protocols = protocols;
    info.pt_serv_buf_size = 64 * 1024;
    info.options = LWS_SERVER_OPTION_DISABLE_IPV6;
    if (argc == 3 && argv[2] == std::string_view{"libuv"}) info.options |= LWS_SERVER_OPTION_LIBUV;
    lws_context* context = lws_create_context(&info);
    if (context == nullptr) return 1;
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
}
