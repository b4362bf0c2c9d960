/* tls_test.c - the server with TLS, asked by libcurl on the same thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "http/server.h"

static char folder[] = "/tmp/fuotad-tls-XXXXXX";
static bool is_closed;

static void on_size(void *arg, struct http_request *request)
{
    char text[64];
    size_t size;

    (void)arg;
    (void)http_body(request, &size);
    snprintf(text, sizeof(text), "{\"size\":%zu}", size);
    http_answer_json(request, 200, text);
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
    strncat(arg, data, size * count);
    return size * count;
}

static void requests_come_over_tls(void **state)
{
    (void)state;
    static const struct http_route routes[] = {
        {"POST", "/", HTTP_ACCESS_NONE, 3000000, "application/octet-stream", on_size},
    };
    char cert[64], key[64], command[512], url[64], answer[4096] = "";
    char *body = calloc(1, 2000000);
    uv_loop_t loop;
    struct http_server *server;
    struct http_server_options options = {
        .bind = "127.0.0.1",
        .connections_max = 4,
        .timeout_s = 5,
        .routes = routes,
        .route_count = 1,
    };
    const char *text;
    int left = 1;
    long status = 0;

    assert_non_null(body);
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/cert.pem", folder);
    snprintf(key, sizeof(key), "%s/key.pem", folder);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
             "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
             "2>/dev/null",
             key, cert);
    if (system(command) != 0) {
        free(body);
        skip(); /* no openssl program here */
    }
    options.tls_cert_file = cert;
    options.tls_key_file = key;
    assert_int_equal(uv_loop_init(&loop), 0);
    if (http_server_new(&loop, &options, &server, &text) != ERR_OK)
        fail_msg("%s", text);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", (unsigned)http_server_port(server));

    CURL *curl = curl_easy_init();
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/octet-stream");

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CAINFO, cert);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 2000000L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    curl_multi_add_handle(multi, curl);
    while (left > 0) {
        assert_int_equal(curl_multi_perform(multi, &left), CURLM_OK);
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(200);
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    assert_int_equal(status, 200);
    assert_string_equal(answer, "{\"size\":2000000}");
    curl_multi_remove_handle(multi, curl);
    curl_easy_cleanup(curl);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    http_server_close(server, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(is_closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    unlink(cert);
    unlink(key);
    rmdir(folder);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_over_tls),
    };
    return cmocka_run_group_tests_name("http_tls", tests, NULL, NULL);
}
