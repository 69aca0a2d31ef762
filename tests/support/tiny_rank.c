/* The smallest engine over several machines that a test of the driver needs, as `vllm`: a static program that takes
 * vLLM's flags. Rank 0 waits until the other ranks have come to the meeting point, then answers every request with 200;
 * the others come there, wait, and end when the first one does, as vLLM's do.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int number) {
    (void)number;
    _exit(0);
}

static const char *flag(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], name)) return argv[i + 1];
    return otherwise;
}

static struct sockaddr_in place(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

static int listening(const char *host, int port) {
    int on = 1, found = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = place(host, port);
    setsockopt(found, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(found, (struct sockaddr *)&address, sizeof address) || listen(found, 16)) {
        fprintf(stderr, "cannot listen on %s:%d\n", host, port);
        exit(1);
    }
    return found;
}

int main(int argc, char **argv) {
    static const char *answer =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 29\r\nConnection: close\r\n\r\n"
        "{\"object\":\"list\",\"data\":[]}  ";
    int rank = atoi(flag(argc, argv, "--node-rank", "0")), nodes = atoi(flag(argc, argv, "--nnodes", "1"));
    const char *master = flag(argc, argv, "--master-addr", "127.0.0.1");
    int meeting = atoi(flag(argc, argv, "--master-port", "29501"));
    char byte;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_IGN);
    printf("rank %d of %d\n", rank, nodes);
    if (rank) {
        struct sockaddr_in address = place(master, meeting);
        for (int tries = 0; tries < 100; tries++, usleep(100000)) {
            int head = socket(AF_INET, SOCK_STREAM, 0);
            if (!connect(head, (struct sockaddr *)&address, sizeof address)) {
                printf("rank %d has joined\n", rank);
                return read(head, &byte, 1) < 0;
            }
            close(head);
        }
        fprintf(stderr, "no head at %s:%d\n", master, meeting);
        return 4;
    }
    int door = listening(master, meeting);
    for (int here = 1; here < nodes; here++) accept(door, NULL, NULL);
    int server = listening(flag(argc, argv, "--host", "127.0.0.1"), atoi(flag(argc, argv, "--port", "8000")));
    printf("Application startup complete.\n");
    for (;;) {
        char request[4096];
        int client = accept(server, NULL, NULL);
        if (client < 0) continue;
        if (read(client, request, sizeof request) > 0 && write(client, answer, strlen(answer)) < 0) perror("write");
        shutdown(client, SHUT_WR);
        close(client);
    }
}
