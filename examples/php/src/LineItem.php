<?php

declare(strict_types=1);

namespace Platform;

/** A line of a cart. What is not chosen is left to the catalogue. */
final class LineItem implements \JsonSerializable
{
    private array $for = [];

    private function __construct(private readonly int $productId, private readonly array $details)
    {
    }

    public static function licences(string $email, int $count, ?string $version = null): self
    {
        $details = ['emailAddress' => $email, 'numLicences' => $count, 'version' => $version];
        return new self(1, $details);
    }

    public static function licenceUpgrade(Pool $pool, int $count): self
    {
        return new self(13, ['upgradeId' => $pool->androidId, 'numLicences' => $count]);
    }

    /** $more: further details, such as ['region_id' => 1, 'monthly_billing' => 1]. */
    public static function instance(string $name, int $displays, array $more = []): self
    {
        return new self(2, ['account_name' => $name, 'displays' => $displays] + $more);
    }

    public static function demo(string $name, int $displays, array $more = []): self
    {
        return new self(17, ['account_name' => $name, 'displays' => $displays, 'is_demo' => 1] + $more);
    }

    /** More displays, or a demonstration that is bought. */
    public static function change(Instance $instance, int $displays): self
    {
        return new self(2, ['upgradeId' => $instance->hostingId, 'displays' => $displays]);
    }

    /** The same line for a customer, which is made with its first order. */
    public function forCustomer(string $apiRef, string $name): self
    {
        $line = clone $this;
        $line->for = ['apiRef' => $apiRef, 'customerName' => $name];
        return $line;
    }

    /** The same line for a customer that is there. */
    public function forCompany(int $companyId): self
    {
        $line = clone $this;
        $line->for = ['companyId' => $companyId];
        return $line;
    }

    public function jsonSerialize(): array
    {
        return $this->for + ['productId' => $this->productId, 'productDetails' => $this->details];
    }
}
