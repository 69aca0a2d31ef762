/* The smallest server that a container test needs: one static program, no libc files in the image.
 *   server serve PORT   answers every request; ends with 0 on SIGTERM
 *   server stubborn PORT  the same, but as PID 1 it never notices SIGTERM
 *   server die CODE     writes to both streams and ends
 *   server chatter N    writes N lines of 100 characters and ends
 *   server pass         ends with 0
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int signal_number) {
    (void)signal_number;
    _exit(0);
}

int main(int argc, char **argv, char **env) {
    const char *mode = argc > 1 ? argv[1] : "pass";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(mode, "pass")) return 0;
    for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
    for (; *env; env++) printf("env %s\n", *env);
    if (!strcmp(mode, "die")) {
        fprintf(stderr, "RuntimeError: no such quantization\n");
        return number;
    }
    if (!strcmp(mode, "chatter")) {
        for (int i = 0; i < number; i++) printf("%0100d\n", i);
        return 0;
    }
    if (strcmp(mode, "stubborn")) signal(SIGTERM, end);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(number)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
        perror("bind");
        return 98;
    }
    printf("serving\n");
    for (;;) {
        char request[4096];
        const char *body = "{\"data\": [{\"id\": \"tiny\"}], \"version\": \"0.0.1\"}";
        int peer = accept(listener, NULL, NULL);
        if (peer < 0) continue;
        if (read(peer, request, sizeof request) > 0)
            dprintf(peer, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
        close(peer);
    }
}
