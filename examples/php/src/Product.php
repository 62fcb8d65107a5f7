<?php

declare(strict_types=1);

namespace Platform;

/** Something on the caller's price list. */
final class Product extends Entity
{
    public int $productId;
    public string $name;
    public string $description;
    public array $costs;
    public string $terms;
    public string $deliveryTerms;
}
