/*
 * client.h - raw HTTP clients beside the server, on one thread: whoever waits runs the loop.
 */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define READ_TOKEN  "1111111111111111111111111111111111111111111111111111111111111111"
#define EARLY_TOKEN "3333333333333333333333333333333333333333333333333333333333333333"
#define WRITE_TOKEN "2222222222222222222222222222222222222222222222222222222222222222"
#define WITH_TOKEN  "Host: localhost\r\nAuthorization: Bearer " WRITE_TOKEN "\r\n"

struct client {
    uv_loop_t *loop;
    int fd;
    bool is_closed; /* by the server */
    char data[65536];
    size_t size;
};

void client_open(struct client *client, uv_loop_t *loop, uint16_t port);
void client_close(struct client *client);
void client_send(struct client *client, const char *text);
/* As many octets as the server takes within a second; returns how many. */
size_t client_send_octets(struct client *client, const void *data, size_t size);
/* Reads until `text` was seen; false after two seconds or when the server closed before. */
bool client_sees(struct client *client, const char *text);
/* Reads until the server closes; false after `wait_ms`. */
bool client_sees_close(struct client *client, unsigned wait_ms);
void client_forget(struct client *client); /* what was read */
/* Sends and reads the status of the answer with its whole body; 0 without one. */
unsigned client_ask(struct client *client, const char *text);
/* The same on a connection of its own; the answer is in `client`. */
unsigned ask(struct client *client, uv_loop_t *loop, uint16_t port, const char *text);
/* Runs the loop for `ms`. */
void run_for(uv_loop_t *loop, unsigned ms);

#endif
