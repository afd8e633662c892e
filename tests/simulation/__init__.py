"""The whole bundle in one process, in virtual time: a seed decides every order and every fault, and gives both back."""
