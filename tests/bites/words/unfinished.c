/* TODO: later */
int a;  
int	b;
/* see /home/somebody/notes */
int no_newline;