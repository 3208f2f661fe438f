int past_end(void);

int past_end(void)
{
    int numbers[4] = { 1, 2, 3, 4 };
    int sum = 0;
    for (int i = 0; i <= 4; i++)
        sum += numbers[i];
    return sum;
}
