#include "network/transport.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/failpoint.h"
#include "lorawan/keys.h"

#define READ_SIZE 65536

struct transport {
    uv_loop_t *loop;
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_getaddrinfo_t resolving;
    struct addrinfo *addresses, *next_address;
    struct transport_callbacks callbacks;
    void *arg;
    bool is_tls, is_connected, is_closing;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    size_t backlog;
    char text[200];
    char read_buffer[READ_SIZE];
};

struct write {
    uv_write_t request;
    struct transport *t;
    size_t size;
    uint8_t data[];
};

static void on_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;

    if (t->addresses != NULL) {
        uv_freeaddrinfo(t->addresses);
    }
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    t->callbacks.on_close(t->arg, t->text);
    free(t);
}

void transport_close(struct transport *t, const char *text)
{
    if (t->is_closing) {
        return;
    }
    t->is_closing = true;
    snprintf(t->text, sizeof(t->text), "%s", text);
    if (t->resolving.data != NULL) {
        uv_cancel((uv_req_t *)&t->resolving);
        return; /* stopped or not, on_resolved() goes on */
    }
    if (!uv_is_closing((uv_handle_t *)&t->tcp)) { /* else on_next_address() goes on */
        uv_close((uv_handle_t *)&t->tcp, on_closed);
    }
}

/* Keys go through here, so nothing stays in a buffer. */
static void free_write(struct write *w)
{
    key_wipe(w->data, w->size);
    free(w);
}

static void on_written(uv_write_t *request, int status)
{
    struct write *w = (struct write *)request;
    struct transport *t = w->t;

    t->backlog -= w->size;
    if (status < 0 && status != UV_ECANCELED) {
        transport_close(t, uv_strerror(status));
    }
    free_write(w);
}

static void write_raw(struct transport *t, const uint8_t *data, size_t size)
{
    struct write *w = malloc(sizeof(*w) + size);

    if (w == NULL) {
        abort();
    }
    w->t = t;
    w->size = size;
    memcpy(w->data, data, size);
    uv_buf_t buf = uv_buf_init((char *)w->data, (unsigned)size);
    t->backlog += size;
    int status = uv_write(&w->request, (uv_stream_t *)&t->tcp, &buf, 1, on_written);
    FAILPOINT(CALL_WRITTEN);
    if (status < 0) {
        t->backlog -= size;
        free_write(w);
        transport_close(t, uv_strerror(status));
    }
}

/* What TLS wants to send. */
static void flush_tls(struct transport *t)
{
    uint8_t buffer[16384];
    int size;

    while (!t->is_closing && (size = BIO_read(t->out, buffer, sizeof(buffer))) > 0) {
        write_raw(t, buffer, (size_t)size);
    }
}

static void close_tls(struct transport *t)
{
    char text[160] = "TLS failed";
    unsigned long code = ERR_get_error();
    long verify = SSL_get_verify_result(t->ssl);

    if (verify != X509_V_OK) {
        snprintf(text, sizeof(text), "TLS: certificate: %s", X509_verify_cert_error_string(verify));
    } else if (code != 0) {
        snprintf(text, sizeof(text), "TLS: %s", ERR_reason_error_string(code));
    }
    transport_close(t, text);
}

static void connected(struct transport *t)
{
    t->is_connected = true;
    t->callbacks.on_connect(t->arg);
}

static void handshake(struct transport *t)
{
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    int error = SSL_get_error(t->ssl, result);

    flush_tls(t);
    if (result == 1) {
        connected(t);
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        close_tls(t);
    }
}

static void read_tls(struct transport *t, const uint8_t *data, size_t size)
{
    uint8_t buffer[16384];
    int read_size;

    if (BIO_write(t->in, data, (int)size) != (int)size) {
        transport_close(t, "TLS: out of memory");
        return;
    }
    if (!t->is_connected) {
        handshake(t);
    }
    /* What the callback does with OpenSSL must not look like an error of this connection. */
    while (!t->is_closing && t->is_connected &&
           (ERR_clear_error(), read_size = SSL_read(t->ssl, buffer, sizeof(buffer))) > 0) {
        t->callbacks.on_data(t->arg, buffer, (size_t)read_size);
        key_wipe(buffer, (size_t)read_size);
    }
    if (t->is_closing || !t->is_connected) {
        return;
    }
    int error = SSL_get_error(t->ssl, 0);
    flush_tls(t);
    if (error == SSL_ERROR_ZERO_RETURN) {
        transport_close(t, "the server closed the connection");
    } else if (error == SSL_ERROR_SSL) {
        close_tls(t);
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct transport *t = handle->data;

    (void)size;
    *buf = uv_buf_init(t->read_buffer, sizeof(t->read_buffer));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct transport *t = stream->data;

    if (t->is_closing) {
        return;
    }
    if (size < 0) {
        transport_close(t, size == UV_EOF ? "the server closed the connection"
                                          : uv_strerror((int)size));
    } else if (size > 0 && t->is_tls) {
        read_tls(t, (const uint8_t *)buf->base, (size_t)size);
    } else if (size > 0) {
        t->callbacks.on_data(t->arg, (const uint8_t *)buf->base, (size_t)size);
    }
    if (size > 0) {
        key_wipe(buf->base, (size_t)size);
    }
}

static void try_address(struct transport *t);

/* A socket that failed to connect is not used again: the next address may be of another family. */
static void on_next_address(uv_handle_t *handle)
{
    struct transport *t = handle->data;

    if (t->is_closing) {
        on_closed(handle);
        return;
    }
    uv_tcp_init(t->loop, &t->tcp);
    t->next_address = t->next_address->ai_next;
    try_address(t);
}

/* "localhost" may be two addresses with a server behind one of them only. */
static void address_failed(struct transport *t, int status)
{
    if (t->next_address->ai_next != NULL) {
        uv_close((uv_handle_t *)&t->tcp, on_next_address);
    } else {
        transport_close(t, uv_strerror(status));
    }
}

static void on_connect(uv_connect_t *request, int status)
{
    struct transport *t = request->data;

    if (t->is_closing) {
        return;
    }
    if (status < 0) {
        address_failed(t, status);
        return;
    }
    uv_tcp_nodelay(&t->tcp, 1);
    uv_read_start((uv_stream_t *)&t->tcp, on_alloc, on_read);
    if (t->is_tls) {
        handshake(t);
    } else {
        connected(t);
    }
}

static void try_address(struct transport *t)
{
    int status = uv_tcp_connect(&t->connecting, &t->tcp, t->next_address->ai_addr, on_connect);

    t->connecting.data = t;
    if (status < 0) {
        address_failed(t, status);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct transport *t = request->data;

    request->data = NULL;
    t->addresses = addresses;
    if (t->is_closing) {
        uv_close((uv_handle_t *)&t->tcp, on_closed);
        return;
    }
    if (status < 0) {
        transport_close(t, uv_strerror(status));
        return;
    }
    t->next_address = addresses;
    try_address(t);
}

static enum err init_tls(struct transport *t, const struct transport_options *o)
{
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (t->ctx == NULL || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1) {
        return ERR_CRYPTO;
    }
    SSL_CTX_set_options(t->ctx, SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    int has_ca = o->ca_file != NULL ? SSL_CTX_load_verify_locations(t->ctx, o->ca_file, NULL)
                                    : SSL_CTX_set_default_verify_paths(t->ctx);
    if (has_ca != 1) {
        return ERR_IO;
    }
    if (o->cert_file != NULL &&
        (SSL_CTX_use_certificate_chain_file(t->ctx, o->cert_file) != 1 ||
         SSL_CTX_use_PrivateKey_file(t->ctx, o->key_file, SSL_FILETYPE_PEM) != 1)) {
        return ERR_IO;
    }
    t->ssl = SSL_new(t->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
        abort();
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_connect_state(t->ssl);
    unsigned char alpn[16];
    size_t alpn_size = o->alpn != NULL ? strlen(o->alpn) : 0;
    if (alpn_size > 0 && alpn_size < sizeof(alpn)) {
        alpn[0] = (unsigned char)alpn_size;
        memcpy(alpn + 1, o->alpn, alpn_size);
        SSL_set_alpn_protos(t->ssl, alpn, (unsigned)alpn_size + 1);
    }
    /* The host is checked against the certificate, be it a name or an address; only a name may be
     * sent as the server's name (RFC 6066). */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), o->host) != 1 &&
        (SSL_set1_host(t->ssl, o->host) != 1 || SSL_set_tlsext_host_name(t->ssl, o->host) != 1)) {
        return ERR_CRYPTO;
    }
    return ERR_OK;
}

struct transport *transport_connect(struct uv_loop_s *loop, const struct transport_options *options,
                                    const struct transport_callbacks *callbacks, void *arg)
{
    struct transport *t = calloc(1, sizeof(*t));
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    if (t == NULL) {
        abort();
    }
    t->loop = loop;
    t->callbacks = *callbacks;
    t->arg = arg;
    t->is_tls = options->is_tls;
    uv_tcp_init(loop, &t->tcp);
    t->tcp.data = t;
    if (t->is_tls && init_tls(t, options) != ERR_OK) {
        transport_close(t, "TLS: the certificate files cannot be used");
        return t;
    }
    snprintf(port, sizeof(port), "%u", options->port);
    t->resolving.data = t;
    int status = uv_getaddrinfo(loop, &t->resolving, on_resolved, options->host, port, &hints);
    if (status < 0) {
        t->resolving.data = NULL;
        transport_close(t, uv_strerror(status));
    }
    return t;
}

void transport_write(struct transport *t, const uint8_t *data, size_t size)
{
    if (t->is_closing || size == 0) {
        return;
    }
    if (!t->is_tls) {
        write_raw(t, data, size);
        return;
    }
    if (SSL_write(t->ssl, data, (int)size) != (int)size) { /* memory BIOs take everything */
        close_tls(t);
        return;
    }
    flush_tls(t);
}

size_t transport_backlog(const struct transport *t)
{
    return t->backlog;
}
